"""Beam search: finds the most probable completions by extending the best partial ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.config.generation import GenerationConfig
from lmcore.generation.completion import Completion, StoppingCriteria, TopLogprobs, top_logprobs_of
from lmcore.generation.decoding_state import DecodingState
from lmcore.generation.sampling import apply_repetition_penalty


@torch.inference_mode()
def beam_search(
    state: DecodingState,
    config: GenerationConfig,
    criteria: StoppingCriteria,
    *,
    is_used: Tensor | None,
    n_top_logprobs: int,
) -> list[list[Completion]]:
    """At most ``num_beams`` completions of each prompt, best first.

    At each step, the ``num_beams`` most probable extensions by one token are kept. Finished completions leave the beam
    and are ranked by their log-probability divided by a power of their length (Wu et al. 2016). The search ends when no
    beam can still rank among the ``num_beams`` best. One beam is greedy decoding.

    Args:
        state: the state after the prompts.
        config: the settings; ``num_beams`` and ``length_penalty`` are those of the search.
        criteria: when a completion ends.
        is_used: tokens that the repetition penalty applies to, bool of shape (batch, vocabulary); None for no penalty.
        n_top_logprobs: how many of the most probable tokens to report at each position.
    """
    num_beams, length_penalty = config.num_beams, config.length_penalty or 0.0
    n_prompts, device = len(state.logits), state.logits.device
    finished = [FinishedCompletions(num_beams, length_penalty) for _ in range(n_prompts)]
    searched = list(range(n_prompts))  # the prompts that the rows of the batch belong to
    active = Beams.start(n_prompts, with_top_logprobs=n_top_logprobs > 0)
    for position in range(config.max_new_tokens):
        active, rows = _extend(active, state.logits, is_used, config, num_beams, n_top_logprobs)
        _collect_finished(active, [finished[prompt] for prompt in searched], criteria, config.max_new_tokens)
        is_active = active.is_active.any(dim=1)
        if not is_active.any():
            break
        if position == 0:
            state.fork(num_beams)
            is_used = None if is_used is None else is_used.repeat_interleave(num_beams, dim=0)
            rows = torch.arange(n_prompts * num_beams).view(n_prompts, -1)
        # Finished prompts stay in the batch until removing them is worth copying the state of the others.
        if int(is_active.sum()) <= len(searched) // 2:
            kept = is_active.nonzero()[:, 0]
            searched, active, rows = [searched[index] for index in kept.tolist()], active.select(kept), rows[kept]
        rows, tokens = rows.flatten().to(device), active.tokens[:, :, -1].flatten().to(device)
        if is_used is not None:
            is_used = is_used[rows].scatter_(1, tokens.unsqueeze(1), True)
        state.select(rows)
        state.advance(tokens)
    return [[completion for _, completion in found.best()] for found in finished]


def normalized_score(total: float, length: int, length_penalty: float) -> float:
    """A sum of log-probabilities divided by the length penalty of Wu et al. 2016; the end token counts."""
    penalty: float = ((5 + length) / 6) ** length_penalty
    return total / penalty


@dataclass
class FinishedCompletions:
    """The finished completions of one prompt, with their scores."""

    num_beams: int
    length_penalty: float
    scored: list[tuple[float, Completion]] = field(default_factory=list)

    def add(self, total: float, completion: Completion) -> None:
        """Add a completion whose log-probabilities sum to ``total``."""
        length = len(completion.logprobs)
        self.scored.append((normalized_score(total, length, self.length_penalty), completion))

    def best(self) -> list[tuple[float, Completion]]:
        """The ``num_beams`` best, those found earlier first if scores are equal."""
        return sorted(self.scored, key=lambda scored: -scored[0])[: self.num_beams]

    def can_improve(self, total: float, length: int, max_new_tokens: int) -> bool:
        """Whether a beam with this log-probability and length can still rank among the best."""
        best = self.best()
        if len(best) < self.num_beams:
            return True
        # Log-probabilities only decrease, and the penalty is largest at the shortest or the longest possible length.
        return any(
            normalized_score(total, possible, self.length_penalty) > best[-1][0]
            for possible in (length + 1, max_new_tokens)
        )


@dataclass
class Beams:
    """Partial completions on the CPU, equally many for each prompt; some may be inactive.

    Attributes:
        totals: sums of log-probabilities after the repetition penalty, float64 of shape (prompts, beams);
            minus infinity for inactive beams.
        tokens: int64 of shape (prompts, beams, length).
        logprobs: the model's own log-probabilities of these tokens, float32 of the same shape.
        top_logprobs: for each prompt and beam, the most probable tokens at each position; None if not requested.
    """

    totals: Tensor
    tokens: Tensor
    logprobs: Tensor
    top_logprobs: list[list[list[TopLogprobs]]] | None

    @classmethod
    def start(cls, n_prompts: int, *, with_top_logprobs: bool) -> "Beams":
        """One empty completion for each prompt."""
        totals, empty = torch.zeros(n_prompts, 1, dtype=torch.float64), torch.empty(n_prompts, 1, 0)
        return cls(totals, empty.long(), empty, [[[]] for _ in range(n_prompts)] if with_top_logprobs else None)

    @property
    def is_active(self) -> Tensor:
        """Which beams are active, bool of shape (prompts, beams)."""
        return self.totals > -torch.inf

    def select(self, prompts: Tensor) -> "Beams":
        """The beams of the given prompts (int64, any order)."""
        top_logprobs = None if self.top_logprobs is None else [self.top_logprobs[prompt] for prompt in prompts.tolist()]
        return Beams(self.totals[prompts], self.tokens[prompts], self.logprobs[prompts], top_logprobs)


def _extend(
    active: Beams,
    logits: Tensor,
    is_used: Tensor | None,
    config: GenerationConfig,
    num_beams: int,
    n_top_logprobs: int,
) -> tuple[Beams, Tensor]:
    """Extend the beams of each prompt by one token.

    Returns:
        the best extensions of each prompt, best first, and the rows of the batch that they extend, int64 of shape
        (prompts, beams).
    """
    own = logits.log_softmax(dim=-1)
    log_probabilities = own
    if is_used is not None:
        log_probabilities = apply_repetition_penalty(logits, is_used, config.repetition_penalty).log_softmax(dim=-1)
    top = log_probabilities.topk(min(num_beams, logits.size(1)), dim=1)
    n_prompts, n_before = active.totals.shape
    values, tokens, own_values = (
        part.cpu().view(n_prompts, -1) for part in (top.values, top.indices, own.gather(1, top.indices))
    )
    n_each = top.values.size(1)
    totals, order = (values + active.totals.repeat_interleave(n_each, dim=1)).sort(dim=1, descending=True, stable=True)
    missing = max(num_beams - order.size(1), 0)
    # With fewer extensions than beams, the remaining beams are inactive.
    order = F.pad(order[:, :num_beams], (0, missing))
    totals = F.pad(totals[:, :num_beams], (0, missing), value=-torch.inf)
    parents = order // n_each
    prompts = torch.arange(n_prompts).unsqueeze(1)
    rows = prompts * n_before + parents
    top_logprobs = active.top_logprobs
    if top_logprobs is not None:
        found = top_logprobs_of(logits, n_top_logprobs)
        top_logprobs = [
            [[*top_logprobs[prompt][row % n_before], found[row]] for row in extended]
            for prompt, extended in enumerate(rows.tolist())
        ]
    extended = Beams(
        totals,
        _append(active.tokens[prompts, parents], tokens.gather(1, order)),
        _append(active.logprobs[prompts, parents], own_values.gather(1, order)),
        top_logprobs,
    )
    return extended, rows


def _append(sequences: Tensor, last: Tensor) -> Tensor:
    return torch.cat((sequences, last.unsqueeze(2)), dim=2)


def _collect_finished(
    active: Beams, finished: Sequence[FinishedCompletions], criteria: StoppingCriteria, max_new_tokens: int
) -> None:
    """Move finished completions out of the beams, and deactivate beams that can no longer rank among the best."""
    length = active.tokens.size(2)
    last = active.tokens[:, :, -1]
    may_end = active.is_active
    if criteria.ends_text is None and length < max_new_tokens:
        may_end = may_end & torch.isin(last, torch.tensor(list(criteria.token_reasons)))
    for prompt, beam in may_end.nonzero().tolist():
        *tokens, token = active.tokens[prompt, beam].tolist()
        *logprobs, logprob = active.logprobs[prompt, beam].tolist()
        top_logprobs = [] if active.top_logprobs is None else active.top_logprobs[prompt][beam]
        completion = Completion(tokens, logprobs, top_logprobs)
        completion.append(token, logprob, criteria)
        if completion.finish_reason is not None:
            finished[prompt].add(float(active.totals[prompt, beam]), completion)
            active.totals[prompt, beam] = -torch.inf
    for prompt, found in enumerate(finished):
        if len(found.scored) >= found.num_beams:
            for beam in active.is_active[prompt].nonzero()[:, 0].tolist():
                if not found.can_improve(float(active.totals[prompt, beam]), length, max_new_tokens):
                    active.totals[prompt, beam] = -torch.inf
