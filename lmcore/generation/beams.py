"""Beam search: the likeliest whole answers among those that look best on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmcore.generation.completion import Completion, Ending, likeliest_of
from lmcore.generation.config import BeamSearchConfig, GenerationConfig
from lmcore.generation.continuation import Continuation
from lmcore.generation.sampling import penalize


@dataclass
class Beam:
    """An answer on its way, and the sum of its log-probabilities, the repetition penalty taken off."""

    completion: Completion
    total: float
    row: int
    """Of the batch, where the model's state behind it is."""


@dataclass
class Search:
    """The beams of one prompt, and its answers that have ended with their scores."""

    live: list[Beam]
    ended: list[tuple[float, Completion]] = field(default_factory=list)

    def best(self, n: int) -> list[tuple[float, Completion]]:
        """The ``n`` best answers that have ended; of equal ones the earlier."""
        return sorted(self.ended, key=lambda answer: -answer[0])[:n]


@torch.inference_mode()
def beam_search(
    continuation: Continuation,
    config: GenerationConfig,
    ending: Ending,
    *,
    is_used: Tensor | None,
    n_likeliest: int,
) -> list[list[Completion]]:
    """At most ``n_beams`` answers to each prompt, best first.

    Of all continuations by one token the ``n_beams`` likeliest are followed. Those that have ended leave the beam and
    are ranked by their log-probability over a power of their length (Wu et al. 2016); the search is over when no beam
    can come before the ``n_beams`` best of them any more. One beam is greedy decoding.

    Args:
        continuation: of the prompts.
        config: how tokens are chosen, ``decoding`` a beam search.
        ending: when an answer is over.
        is_used: the tokens that the repetition penalty is for, boolean (batch, vocabulary); None where there is none.
        n_likeliest: of how many of the likeliest tokens the log-probabilities are wanted.
    """
    beams = config.decoding
    if not isinstance(beams, BeamSearchConfig):
        raise ValueError(f"a beam search cannot decode by {beams.method}")
    searches = [Search([Beam(Completion(), 0.0, row)]) for row in range(len(continuation.logits))]
    while True:
        _extend(searches, continuation.logits, is_used, config, beams, ending, n_likeliest)
        for search in searches:
            _stop_if_decided(search, beams, config.max_tokens)
        live = [beam for search in searches for beam in search.live]
        if not live:
            return [[completion for _, completion in search.best(beams.n_beams)] for search in searches]
        rows = torch.tensor([beam.row for beam in live], device=continuation.logits.device)
        chosen = torch.tensor([beam.completion.tokens[-1] for beam in live], device=rows.device)
        for row, beam in enumerate(live):
            beam.row = row
        if is_used is not None:
            is_used = is_used[rows].scatter_(1, chosen.unsqueeze(1), True)
        continuation.select(rows)
        continuation.advance(chosen)


def normalized_score(total: float, length: int, length_penalty: float) -> float:
    """A sum of log-probabilities over the length penalty of Wu et al. 2016; the end token counts."""
    penalty: float = ((5 + length) / 6) ** length_penalty
    return total / penalty


def _extend(
    searches: Sequence[Search],
    logits: Tensor,
    is_used: Tensor | None,
    config: GenerationConfig,
    beams: BeamSearchConfig,
    ending: Ending,
    n_likeliest: int,
) -> None:
    """Let each search follow the best continuations of its beams by one token."""
    own = logits.log_softmax(dim=-1)
    log_probabilities = own
    if is_used is not None:
        log_probabilities = penalize(logits, is_used, config.repetition_penalty).log_softmax(dim=-1)
    top = log_probabilities.topk(min(beams.n_beams, logits.size(1)), dim=1)
    values, tokens, own_values = (part.tolist() for part in (top.values, top.indices, own.gather(1, top.indices)))
    likeliest = likeliest_of(logits, n_likeliest) if n_likeliest else None
    for search in searches:
        candidates = [
            (beam.total + value, beam, token, own_value)
            for beam in search.live
            for value, token, own_value in zip(values[beam.row], tokens[beam.row], own_values[beam.row], strict=True)
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        search.live = []
        for total, beam, token, own_value in candidates[: beams.n_beams]:
            completion = beam.completion.extended(token, own_value, ending)
            if likeliest is not None:
                completion.likeliest.append(likeliest[beam.row])
            if completion.ended_by is None:
                search.live.append(Beam(completion, total, beam.row))
            else:
                length = len(completion.log_probabilities)
                search.ended.append((normalized_score(total, length, beams.length_penalty), completion))


def _stop_if_decided(search: Search, beams: BeamSearchConfig, max_tokens: int) -> None:
    """Give up beams that cannot come before the best answers, however they go on."""
    best = search.best(beams.n_beams)
    if len(best) < beams.n_beams:
        return
    # Log-probabilities only fall, and the penalty is largest at one end of the lengths that are left.
    search.live = [
        beam
        for beam in search.live
        if any(
            normalized_score(beam.total, length, beams.length_penalty) > best[-1][0]
            for length in (len(beam.completion.log_probabilities) + 1, max_tokens)
        )
    ]
