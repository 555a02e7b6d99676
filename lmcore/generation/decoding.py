"""Generates token sequences with any generative model."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lmcore.config.generation import GenerationConfig
from lmcore.errors import UserError
from lmcore.generation.beam_search import beam_search
from lmcore.generation.completion import Completion, FinishReason, StoppingCriteria, top_logprobs_of
from lmcore.generation.decoding_state import DecodingState
from lmcore.generation.drafts import AssistantModel
from lmcore.generation.sampling import apply_repetition_penalty, sample_tokens, uniform_samples, used_tokens
from lmcore.generation.speculative import is_close_call
from lmcore.models.generative import GenerativeModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

EndsText = Callable[[Sequence[int]], bool]


def generate(
    model: GenerativeModel,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    *,
    assistant_model: AssistantModel | None = None,
) -> list[list[int]]:
    """One completion per prompt, without the prompt and without the end token.

    Prompts may differ in length; each is completed independently of the others. An empty prompt starts a new document.
    A prompt that is too long for the context is truncated. An ``assistant_model`` makes the completion of a single
    prompt faster, and does not change it.

    Raises:
        UserError: ``max_new_tokens`` leaves no room for any prompt, or there are stop strings, which need
            :class:`~lmcore.generation.generator.Generator`.
    """
    if config.stop_strings:
        raise UserError(
            f"stop_strings is {list(config.stop_strings)}, but generate() has no tokenizer to find them with: "
            "use Generator, or leave stop_strings empty"
        )
    if not prompts:
        return []
    model.eval()
    with torch.inference_mode():
        state = DecodingState.from_prompts(model, prompts, config.max_new_tokens, assistant_model)
    completions = decode(state, prompts, config, model.vocabulary)
    return [candidates[0].tokens for candidates in completions]


def decode(
    state: DecodingState,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    vocabulary: Vocabulary,
    *,
    ends_text: EndsText | None = None,
    n_top_logprobs: int = 0,
) -> list[list[Completion]]:
    """The completions of each prompt, best first: ``num_beams`` of them, or one if tokens are sampled.

    Args:
        state: the state after the prompts.
        prompts: their tokens, for the repetition penalty and the random numbers.
        config: the settings; its stop strings are ignored.
        vocabulary: the model's vocabulary.
        ends_text: whether the text of a completion's tokens has a stop string.
        n_top_logprobs: how many of the most probable tokens to report at each position.
    """
    if config.num_beams == 1:
        steps = sample(state, prompts, config, vocabulary, ends_text=ends_text, n_top_logprobs=n_top_logprobs)
        return [[completion] for completion in list(steps)[-1]]
    criteria = stopping_criteria(config, vocabulary, ends_text)
    is_used = _penalized_tokens(prompts, config, vocabulary, state.logits.device)
    return beam_search(state, config, criteria, is_used=is_used, n_top_logprobs=n_top_logprobs)


@torch.inference_mode()
def sample(
    state: DecodingState,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    vocabulary: Vocabulary,
    *,
    ends_text: EndsText | None = None,
    n_top_logprobs: int = 0,
) -> Iterator[list[Completion]]:
    """Yield the completions after every token, until all have ended; arguments as for :func:`decode`.

    It is the same list each time, whose elements grow.
    """
    if config.num_beams > 1:
        raise UserError("beam search cannot be streamed, since its result is known only at the end: set num_beams to 1")
    device = state.logits.device
    criteria = stopping_criteria(config, vocabulary, ends_text)
    is_used = _penalized_tokens(prompts, config, vocabulary, device)
    uniform = uniform_samples(prompts, config.max_new_tokens, config.seed or 0).to(device)
    completions = [Completion() for _ in prompts]
    rows = list(range(len(prompts)))  # the prompt that each row of the batch belongs to
    for position in range(config.max_new_tokens):
        logits = _penalized(state, is_used, config)
        if config.temperature is None and state.needs_reread and is_close_call(logits):
            state.reread()
            logits = _penalized(state, is_used, config)
        tokens = sample_tokens(logits, config, uniform[:, position])
        if is_used is not None:
            is_used.scatter_(1, tokens.unsqueeze(1), True)
        _append_tokens(completions, rows, tokens, state.logits, criteria, n_top_logprobs)
        yield completions
        is_unfinished = [completions[row].finish_reason is None for row in rows]
        if not any(is_unfinished):
            return
        # Finished rows stay in the batch until removing them is worth copying the state of the others.
        if sum(is_unfinished) <= len(rows) // 2:
            kept = torch.tensor([index for index, unfinished in enumerate(is_unfinished) if unfinished], device=device)
            rows = [row for row, unfinished in zip(rows, is_unfinished, strict=True) if unfinished]
            state.select(kept)
            tokens, uniform = tokens[kept], uniform[kept]
            is_used = None if is_used is None else is_used[kept]
        state.advance(tokens)


def stopping_criteria(config: GenerationConfig, vocabulary: Vocabulary, ends_text: EndsText | None) -> StoppingCriteria:
    """When a completion ends according to ``config``."""
    token_reasons: dict[int, FinishReason] = dict.fromkeys(config.stop_token_ids, "stop")
    token_reasons[vocabulary.end_of_text_id] = "end_of_text"
    return StoppingCriteria(token_reasons, config.max_new_tokens, ends_text)


def _penalized(state: DecodingState, is_used: Tensor | None, config: GenerationConfig) -> Tensor:
    if is_used is None:
        return state.logits
    return apply_repetition_penalty(state.logits, is_used, config.repetition_penalty)


def _append_tokens(
    completions: list[Completion],
    rows: list[int],
    tokens: Tensor,
    logits: Tensor,
    criteria: StoppingCriteria,
    n_top_logprobs: int,
) -> None:
    logprobs = logits.log_softmax(dim=1).gather(1, tokens.unsqueeze(1)).squeeze(1)
    top_logprobs = top_logprobs_of(logits, n_top_logprobs) if n_top_logprobs else None
    for index, (row, token, logprob) in enumerate(zip(rows, tokens.tolist(), logprobs.tolist(), strict=True)):
        if completions[row].finish_reason is None:
            completions[row].append(token, logprob, criteria)
            if top_logprobs is not None:
                completions[row].top_logprobs.append(top_logprobs[index])


def _penalized_tokens(
    prompts: Sequence[Sequence[int]], config: GenerationConfig, vocabulary: Vocabulary, device: torch.device
) -> Tensor | None:
    """The tokens that the repetition penalty applies to, bool of shape (batch, vocabulary); None for no penalty.

    The tokens that surround every document do not count as a repetition.
    """
    if config.repetition_penalty == 1.0:
        return None
    is_used = used_tokens(prompts, vocabulary.size, device)
    is_used[:, [vocabulary.start_id, vocabulary.end_of_text_id]] = False
    return is_used
