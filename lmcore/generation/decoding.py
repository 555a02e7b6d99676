"""Continuing prompts with a causal language model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.generation.config import GenerationConfig
from lmcore.generation.sampling import choose
from lmcore.models.causal import CausalModel


@torch.inference_mode()
def generate(model: CausalModel, prompts: Sequence[Sequence[int]], config: GenerationConfig) -> list[list[int]]:
    """Completions (without their prompts and without the end token), one per prompt.

    Prompts may differ in length; each is continued as if it were alone. An empty one starts a new document.
    A prompt that leaves no room in the context for ``max_tokens`` loses its first tokens.

    Raises:
        ValueError: if ``max_tokens`` leaves no room for any prompt.
    """
    room = _room(model, config.max_tokens)
    if not prompts:
        return []
    end_token = model.vocabulary.end_of_text_id
    model.eval()
    generator = torch.Generator(model.device).manual_seed(config.seed)
    kept = [list(prompt if room is None else prompt[-room:]) or [end_token] for prompt in prompts]
    tokens, is_text = _pad_left(kept, end_token, model.device)
    state = model.new_state(len(prompts))
    completions: list[Tensor] = []
    has_ended = torch.zeros(len(prompts), dtype=torch.bool, device=model.device)
    while len(completions) < config.max_tokens and not has_ended.all():
        logits = model.next_logits(tokens, mask=None if is_text.all() else is_text, state=state)
        chosen = choose(logits, config, generator).masked_fill(has_ended, end_token)
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


def _room(model: CausalModel, max_tokens: int) -> int | None:
    """How many tokens of a prompt fit beside the answer; None where there is no limit."""
    if model.context_length is None:
        return None
    if max_tokens >= model.context_length:
        raise ValueError(
            f"max_tokens {max_tokens} leaves no room for a prompt in the context of "
            f"{model.context_length}: right would be at most {model.context_length - 1}"
        )
    return model.context_length - max_tokens


def _until(tokens: list[int], end_token: int) -> list[int]:
    return tokens[: tokens.index(end_token)] if end_token in tokens else tokens
