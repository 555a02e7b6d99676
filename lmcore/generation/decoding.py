"""Continuing prompts with a causal language model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.generation.config import GenerationConfig
from lmcore.generation.sampling import choose
from lmcore.models.gpt import GPT


@torch.inference_mode()
def generate(
    model: GPT, prompts: Sequence[Sequence[int]], config: GenerationConfig, *, end_token: int
) -> list[list[int]]:
    """Completions (without their prompts and without the end token), one per prompt.

    Prompts may differ in length; each is continued as if it were alone. An empty one starts a new document.
    A prompt that leaves no room in the context for ``max_tokens`` loses its first tokens.

    Raises:
        ValueError: if ``max_tokens`` leaves no room for any prompt.
    """
    room = model.config.context_length - config.max_tokens
    if room < 1:
        raise ValueError(
            f"max_tokens {config.max_tokens} leaves no room for a prompt in the context of "
            f"{model.config.context_length}: right would be at most {model.config.context_length - 1}"
        )
    if not prompts:
        return []
    model.eval()
    generator = torch.Generator(model.device).manual_seed(config.seed)
    kept = [list(prompt[-room:]) or [end_token] for prompt in prompts]
    tokens, is_text = _pad_left(kept, end_token, model.device)
    cache = model.new_cache(len(prompts))
    completions: list[Tensor] = []
    has_ended = torch.zeros(len(prompts), dtype=torch.bool, device=model.device)
    while len(completions) < config.max_tokens and not has_ended.all():
        hidden = model.hidden(tokens, mask=_mask(is_text, tokens.size(1)), cache=cache)
        chosen = choose(model.logits(hidden[:, -1]), config, generator).masked_fill(has_ended, end_token)
        completions.append(chosen)
        has_ended = has_ended | (chosen == end_token)
        tokens = chosen.unsqueeze(1)
        is_text = torch.cat((is_text, torch.ones_like(tokens, dtype=torch.bool)), dim=1)
    return [_until(row, end_token) for row in torch.stack(completions, dim=1).tolist()]


def _pad_left(prompts: Sequence[Sequence[int]], padding: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens int64 (batch, longest) and which of them are text, boolean.

    Positions are relative, so padding on the left, once hidden, changes nothing.
    """
    longest = max(map(len, prompts))
    tokens = torch.tensor([[padding] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    return tokens, torch.arange(longest, device=device) >= (longest - lengths).unsqueeze(1)


def _mask(is_text: Tensor, n_new: int) -> Tensor | None:
    """Which positions the ``n_new`` last ones may look at, boolean (batch, 1, n_new, positions); None if plain."""
    if is_text.all():
        return None
    n_positions = is_text.size(1)
    positions = torch.arange(n_positions, device=is_text.device)
    queries = positions[-n_new:, None]
    # A padded position looks at itself, since looking at nothing has no result.
    visible = (is_text.unsqueeze(1) & (positions <= queries)) | (positions == queries)
    return visible.unsqueeze(1)


def _until(tokens: list[int], end_token: int) -> list[int]:
    return tokens[: tokens.index(end_token)] if end_token in tokens else tokens
