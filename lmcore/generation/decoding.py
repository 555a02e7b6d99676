"""Continuing token sequences with any model of the next token."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lmcore.config.generation import GenerationConfig
from lmcore.errors import UserError
from lmcore.generation.beams import beam_search
from lmcore.generation.completion import Completion, EndedBy, Ending, likeliest_of
from lmcore.generation.continuation import Continuation, behind_prompts
from lmcore.generation.sampling import choose, penalize, uniform_draws, used_tokens
from lmcore.models.causal import CausalModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

EndsText = Callable[[Sequence[int]], bool]


def generate(model: CausalModel, prompts: Sequence[Sequence[int]], config: GenerationConfig) -> list[list[int]]:
    """Completions (without their prompts and without the end token), one per prompt.

    Prompts may differ in length; each is continued as if it were alone. An empty one starts a new document.
    A prompt that leaves no room in the context for ``max_new_tokens`` loses its first tokens.

    Raises:
        ValueError: if ``max_new_tokens`` leaves no room for any prompt, or there are stop strings, for which
            :class:`~lmcore.generation.generator.Generator` is.
    """
    if config.stop_strings:
        raise UserError(
            f"stop strings need text, not only tokens:  {list(config.stop_strings)}: use Generator, or no stop_strings"
        )
    if not prompts:
        return []
    model.eval()
    with torch.inference_mode():
        continuation = behind_prompts(model, prompts, config.max_new_tokens)
    answers = decode(continuation, prompts, config, model.vocabulary)
    return [candidates[0].tokens for candidates in answers]


def decode(
    continuation: Continuation,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    vocabulary: Vocabulary,
    *,
    ends_text: EndsText | None = None,
    n_likeliest: int = 0,
) -> list[list[Completion]]:
    """The answers to each prompt, best first: as many as there are beams, or one where they are drawn.

    Args:
        continuation: of the prompts.
        prompts: what counts as used for the repetition penalty, and what the draws depend on.
        config: how tokens are chosen; its ``stop_strings`` are ignored.
        vocabulary: of the tokens.
        ends_text: whether the text of some tokens has come to its end.
        n_likeliest: of how many of the likeliest tokens the log-probabilities are wanted.
    """
    if config.num_beams == 1:
        steps = sample(continuation, prompts, config, vocabulary, ends_text=ends_text, n_likeliest=n_likeliest)
        return [[completion] for completion in list(steps)[-1]]
    ending = ending_of(config, vocabulary, ends_text)
    is_used = _used(prompts, config, vocabulary, continuation.logits.device)
    return beam_search(continuation, config, ending, is_used=is_used, n_likeliest=n_likeliest)


@torch.inference_mode()
def sample(
    continuation: Continuation,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    vocabulary: Vocabulary,
    *,
    ends_text: EndsText | None = None,
    n_likeliest: int = 0,
) -> Iterator[list[Completion]]:
    """After every token, the completions as far as they are, until all have ended; arguments as for :func:`decode`.

    It is one list, whose elements grow.
    """
    if config.num_beams > 1:
        raise UserError("beam search knows its answer only at the end; set num_beams to 1")
    device = continuation.logits.device
    ending = ending_of(config, vocabulary, ends_text)
    is_used = _used(prompts, config, vocabulary, device)
    uniform = uniform_draws(prompts, config.max_new_tokens, config.seed or 0).to(device)
    completions = [Completion() for _ in prompts]
    rows = list(range(len(prompts)))  # whose text each row of the batch is
    for position in range(config.max_new_tokens):
        logits = continuation.logits
        if is_used is not None:
            logits = penalize(logits, is_used, config.repetition_penalty)
        chosen = choose(logits, config, uniform[:, position])
        if is_used is not None:
            is_used.scatter_(1, chosen.unsqueeze(1), True)
        _append(completions, rows, chosen, continuation.logits, ending, n_likeliest)
        yield completions
        is_going_on = [completions[row].ended_by is None for row in rows]
        if not any(is_going_on):
            return
        # Rows that have ended are carried along until leaving them out is worth the copy of the others' state.
        if sum(is_going_on) <= len(rows) // 2:
            kept = torch.tensor([place for place, goes_on in enumerate(is_going_on) if goes_on], device=device)
            rows = [row for row, goes_on in zip(rows, is_going_on, strict=True) if goes_on]
            continuation.select(kept)
            chosen, uniform = chosen[kept], uniform[kept]
            is_used = None if is_used is None else is_used[kept]
        continuation.advance(chosen)


def ending_of(config: GenerationConfig, vocabulary: Vocabulary, ends_text: EndsText | None) -> Ending:
    """What ends an answer according to ``config``."""
    tokens: dict[int, EndedBy] = dict.fromkeys(config.stop_token_ids, "stop")
    tokens[vocabulary.end_of_text_id] = "end_token"
    return Ending(tokens, config.max_new_tokens, ends_text)


def _append(
    completions: list[Completion], rows: list[int], chosen: Tensor, logits: Tensor, ending: Ending, n_likeliest: int
) -> None:
    of_chosen = logits.gather(1, chosen.unsqueeze(1)).squeeze(1) - logits.logsumexp(dim=1)
    likeliest = likeliest_of(logits, n_likeliest) if n_likeliest else None
    for place, (row, token, value) in enumerate(zip(rows, chosen.tolist(), of_chosen.tolist(), strict=True)):
        if completions[row].ended_by is None:
            completions[row].append(token, value, ending)
            if likeliest is not None:
                completions[row].likeliest.append(likeliest[place])


def _used(
    prompts: Sequence[Sequence[int]], config: GenerationConfig, vocabulary: Vocabulary, device: torch.device
) -> Tensor | None:
    """Which tokens the repetition penalty is for, boolean (batch, vocabulary); None where there is none.

    The end token, which stands before every document, is no repetition behind it.
    """
    if config.repetition_penalty == 1.0:
        return None
    is_used = used_tokens(prompts, vocabulary.size, device)
    is_used[:, vocabulary.end_of_text_id] = False
    return is_used
