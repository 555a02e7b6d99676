"""Beam search: the likeliest whole answers among those that look best on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.config.generation import GenerationConfig
from lmcore.generation.completion import Completion, Ending, Likeliest, likeliest_of
from lmcore.generation.continuation import Continuation
from lmcore.generation.sampling import penalize


@torch.inference_mode()
def beam_search(
    continuation: Continuation,
    config: GenerationConfig,
    ending: Ending,
    *,
    is_used: Tensor | None,
    n_likeliest: int,
) -> list[list[Completion]]:
    """At most ``num_beams`` answers to each prompt, best first.

    Of all continuations by one token the ``num_beams`` likeliest are followed. Those that have ended leave the beam and
    are ranked by their log-probability over a power of their length (Wu et al. 2016); the search is over when no beam
    can come before the ``num_beams`` best of them any more. One beam is greedy decoding.

    Args:
        continuation: of the prompts.
        config: with ``num_beams`` and ``length_penalty``.
        ending: when an answer is over.
        is_used: the tokens that the repetition penalty is for, boolean (batch, vocabulary); None where there is none.
        n_likeliest: of how many of the likeliest tokens the log-probabilities are wanted.
    """
    num_beams = config.num_beams
    n_prompts, device = len(continuation.logits), continuation.logits.device
    answers = [Answers(num_beams, config.length_penalty or 0.0) for _ in range(n_prompts)]
    searched = list(range(n_prompts))  # the prompts that the rows of the batch belong to
    live = LiveBeams.first(n_prompts, with_likeliest=n_likeliest > 0)
    for position in range(config.max_new_tokens):
        live, rows = _extend(live, continuation.logits, is_used, config, num_beams, n_likeliest)
        _collect_ended(live, [answers[prompt] for prompt in searched], ending, config.max_new_tokens)
        is_live = live.is_live.any(dim=1)
        if not is_live.any():
            break
        if position == 0:
            continuation.fork(num_beams)
            is_used = None if is_used is None else is_used.repeat_interleave(num_beams, dim=0)
            rows = torch.arange(n_prompts * num_beams).view(n_prompts, -1)
        # Prompts that are done are carried along until leaving them out is worth the copy of the others' state.
        if int(is_live.sum()) <= len(searched) // 2:
            kept = is_live.nonzero()[:, 0]
            searched, live, rows = [searched[index] for index in kept.tolist()], live.select(kept), rows[kept]
        rows, chosen = rows.flatten().to(device), live.tokens[:, :, -1].flatten().to(device)
        if is_used is not None:
            is_used = is_used[rows].scatter_(1, chosen.unsqueeze(1), True)
        continuation.select(rows)
        continuation.advance(chosen)
    return [[completion for _, completion in found.best()] for found in answers]


def normalized_score(total: float, length: int, length_penalty: float) -> float:
    """A sum of log-probabilities over the length penalty of Wu et al. 2016; the end token counts."""
    penalty: float = ((5 + length) / 6) ** length_penalty
    return total / penalty


@dataclass
class Answers:
    """The answers to one prompt that have ended, with their scores."""

    num_beams: int
    length_penalty: float
    ended: list[tuple[float, Completion]] = field(default_factory=list)

    def add(self, total: float, completion: Completion) -> None:
        """One more answer, whose log-probabilities add up to ``total``."""
        length = len(completion.log_probabilities)
        self.ended.append((normalized_score(total, length, self.length_penalty), completion))

    def best(self) -> list[tuple[float, Completion]]:
        """As many of the best as there are beams; of equal ones the earlier."""
        return sorted(self.ended, key=lambda answer: -answer[0])[: self.num_beams]

    def can_improve(self, total: float, length: int, max_new_tokens: int) -> bool:
        """Whether a beam of this log-probability and length could still end before the last of the best."""
        best = self.best()
        if len(best) < self.num_beams:
            return True
        # Log-probabilities only fall, and the penalty is largest at one end of the lengths that are left.
        return any(
            normalized_score(total, possible, self.length_penalty) > best[-1][0]
            for possible in (length + 1, max_new_tokens)
        )


@dataclass
class LiveBeams:
    """The answers on their way, on the processor: of each prompt as many as there are beams, some of them given up.

    Attributes:
        totals: sums of their log-probabilities, the repetition penalty taken off, float64 (prompts, beams); minus
            infinity for those that are given up.
        tokens: so far, int64 (prompts, beams, length).
        log_probabilities: which the model itself gave these tokens, float32, of the same shape.
        likeliest: of each prompt and beam the likeliest tokens at each position; None where they are not asked for.
    """

    totals: Tensor
    tokens: Tensor
    log_probabilities: Tensor
    likeliest: list[list[list[Likeliest]]] | None

    @classmethod
    def first(cls, n_prompts: int, *, with_likeliest: bool) -> "LiveBeams":
        """One empty answer to each prompt."""
        totals, nothing = torch.zeros(n_prompts, 1, dtype=torch.float64), torch.empty(n_prompts, 1, 0)
        return cls(totals, nothing.long(), nothing, [[[]] for _ in range(n_prompts)] if with_likeliest else None)

    @property
    def is_live(self) -> Tensor:
        """Which are not given up, boolean (prompts, beams)."""
        return self.totals > -torch.inf

    def select(self, prompts: Tensor) -> "LiveBeams":
        """The beams of some prompts (int64, any order)."""
        likeliest = None if self.likeliest is None else [self.likeliest[prompt] for prompt in prompts.tolist()]
        return LiveBeams(self.totals[prompts], self.tokens[prompts], self.log_probabilities[prompts], likeliest)


def _extend(
    live: LiveBeams,
    logits: Tensor,
    is_used: Tensor | None,
    config: GenerationConfig,
    num_beams: int,
    n_likeliest: int,
) -> tuple[LiveBeams, Tensor]:
    """The best continuations of each prompt's beams by one token, best first, and the rows of the batch, int64
    (prompts, beams), that they continue."""
    own = logits.log_softmax(dim=-1)
    log_probabilities = own
    if is_used is not None:
        log_probabilities = penalize(logits, is_used, config.repetition_penalty).log_softmax(dim=-1)
    top = log_probabilities.topk(min(num_beams, logits.size(1)), dim=1)
    n_prompts, n_before = live.totals.shape
    values, tokens, own_values = (
        part.cpu().view(n_prompts, -1) for part in (top.values, top.indices, own.gather(1, top.indices))
    )
    n_each = top.values.size(1)
    totals, order = (values + live.totals.repeat_interleave(n_each, dim=1)).sort(dim=1, descending=True, stable=True)
    missing = max(num_beams - order.size(1), 0)
    # Where there are fewer continuations than beams, the others are given up from the start.
    order = F.pad(order[:, :num_beams], (0, missing))
    totals = F.pad(totals[:, :num_beams], (0, missing), value=-torch.inf)
    parents = order // n_each
    prompts = torch.arange(n_prompts).unsqueeze(1)
    rows = prompts * n_before + parents
    likeliest = live.likeliest
    if likeliest is not None:
        found = likeliest_of(logits, n_likeliest)
        likeliest = [
            [[*likeliest[prompt][row % n_before], found[row]] for row in continued]
            for prompt, continued in enumerate(rows.tolist())
        ]
    return (
        LiveBeams(
            totals,
            _append(live.tokens[prompts, parents], tokens.gather(1, order)),
            _append(live.log_probabilities[prompts, parents], own_values.gather(1, order)),
            likeliest,
        ),
        rows,
    )


def _append(sequences: Tensor, last: Tensor) -> Tensor:
    return torch.cat((sequences, last.unsqueeze(2)), dim=2)


def _collect_ended(live: LiveBeams, answers: Sequence[Answers], ending: Ending, max_new_tokens: int) -> None:
    """Hand over the beams that have ended, and give up those that cannot come before the best answers any more."""
    length = live.tokens.size(2)
    last = live.tokens[:, :, -1]
    may_end = live.is_live
    if ending.text is None and length < max_new_tokens:
        may_end = may_end & torch.isin(last, torch.tensor(list(ending.tokens)))
    for prompt, beam in may_end.nonzero().tolist():
        *tokens, token = live.tokens[prompt, beam].tolist()
        *log_probabilities, log_probability = live.log_probabilities[prompt, beam].tolist()
        likeliest = [] if live.likeliest is None else live.likeliest[prompt][beam]
        completion = Completion(tokens, log_probabilities, likeliest)
        completion.append(token, log_probability, ending)
        if completion.ended_by is not None:
            answers[prompt].add(float(live.totals[prompt, beam]), completion)
            live.totals[prompt, beam] = -torch.inf
    for prompt, found in enumerate(answers):
        if len(found.ended) >= found.num_beams:
            for beam in live.is_live[prompt].nonzero()[:, 0].tolist():
                if not found.can_improve(float(live.totals[prompt, beam]), length, max_new_tokens):
                    live.totals[prompt, beam] = -torch.inf
