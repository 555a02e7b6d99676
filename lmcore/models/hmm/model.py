"""The hidden Markov language model: a chain of states, each of which emits one token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import HMMConfig
from lmcore.models.cpu.recurrence import MIN_STATE_PROBABILITY, filter_states, filter_step
from lmcore.models.generative import RecurrentModel
from lmcore.models.prepared_weights import PreparedWeights
from lmcore.models.state import ModelState, RecurrentState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class HMM(RecurrentModel):
    """A hidden Markov model (Rabiner 1989), trained on the gradient of its exact likelihood (forward algorithm).

    All computation is float32. State probabilities are scaled at every position, and emissions kept as logarithms, so
    that no probability underflows.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary.
    """

    config: HMMConfig

    def __init__(self, config: HMMConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        n_states, rank = config.num_states, config.emission_rank
        self.start = nn.Parameter(torch.zeros(n_states))
        self.transition = nn.Parameter(torch.randn(n_states, n_states))
        # Random, since equal states would have equal gradients forever.
        self.emission = nn.Parameter(torch.randn(vocabulary.size, rank or n_states) * (rank or 1) ** -0.5)
        self.state_vectors = nn.Parameter(torch.randn(n_states, rank)) if rank else None

    def compute_in(self, dtype: torch.dtype) -> None:
        """Does nothing: products of probabilities need float32."""

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token log-probabilities, see :class:`CausalModel`."""
        before = self._state_or_new(tokens, state)
        return self._log_mixture(self._expected_states(tokens, mask, before), before.prepared)

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Log-probabilities of the token after the last one, see :class:`CausalModel`."""
        before = self._state_or_new(tokens, state)
        return self._log_mixture(self._expected_states(tokens, mask, before)[:, -1], before.prepared)

    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: RecurrentState | None, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, RecurrentState]:
        """Summed loss of next tokens (batch, length) and the state after them, see :class:`RecurrentModel`.

        Label smoothing needs the probability of every token of the vocabulary, which takes many times as long.
        """
        state = self.new_state(len(tokens)) if state is None else state
        emission = self._log_emission(state.prepared)
        evidence, _ = _evidence(emission, tokens.T)
        expected = filter_states(self._start(len(tokens), state), self._transition(), evidence)
        is_target = targets.T != -100
        emitted, scale = _evidence(emission, targets.T.where(is_target, 0))
        likelihood = (expected * emitted).sum(dim=2).clamp_min(MIN_STATE_PROBABILITY).log() + scale
        if label_smoothing:
            likelihood = likelihood.lerp(self._log_mixture(expected, state.prepared).mean(dim=2), label_smoothing)
        return -likelihood.where(is_target, 0.0).sum(), _last_state(expected, state.length)

    def flops_per_token(self) -> float:
        """The operations of the transitions; the emission table is computed once per batch, whatever its size."""
        return 6.0 * self.config.num_states**2

    def new_state(self, batch_size: int) -> RecurrentState:
        """``expected``: log-probabilities of the state that emits the next token, float32 of shape (batch, states)."""
        return RecurrentState({"expected": self.start.detach().log_softmax(dim=0).repeat(batch_size, 1)})

    def _state_or_new(self, tokens: Tensor, state: ModelState | None) -> RecurrentState:
        return state if isinstance(state, RecurrentState) else self.new_state(len(tokens))

    def _expected_states(self, tokens: Tensor, mask: Tensor | None, before: RecurrentState) -> Tensor:
        """Probabilities of the state that emits the token after each position, shape (batch, length, states); advances
        ``before``."""
        start, transition = self._start(len(tokens), before), self._transition()
        evidence, _ = _evidence(self._log_emission(before.prepared), tokens.T)
        is_text = None if mask is None else mask[:, before.length : before.length + tokens.size(1)]
        if is_text is None or is_text.all():
            expected = filter_states(start, transition, evidence)
        else:
            expected = _filter_text(start, transition, evidence, is_text.T)
        reached = _last_state(expected, before.length)
        before.tensors, before.length = reached.tensors, reached.length
        return expected.transpose(0, 1)

    def _start(self, batch_size: int, state: RecurrentState) -> Tensor:
        """State probabilities before the tokens; learned ones at the start of a text."""
        if state.length == 0:
            return self.start.softmax(dim=0).expand(batch_size, -1)
        return state.tensors["expected"].exp()

    def _transition(self) -> Tensor:
        return self.transition.softmax(dim=1)

    def _log_emission(self, prepared: PreparedWeights) -> Tensor:
        """Log-probability that each state emits each token, shape (vocabulary, states)."""
        return prepared.get("log emission", self._emission_weights(), self._compute_log_emission)

    def _compute_log_emission(self) -> Tensor:
        scores = self.emission if self.state_vectors is None else self.emission @ self.state_vectors.T
        return scores.log_softmax(dim=0)

    def _emission(self, prepared: PreparedWeights) -> Tensor:
        """Probability that each state emits each token, shape (vocabulary, states)."""
        return prepared.get("emission", self._emission_weights(), lambda: self._log_emission(prepared).exp())

    def _emission_weights(self) -> list[Tensor]:
        return [self.emission] if self.state_vectors is None else [self.emission, self.state_vectors]

    def _log_mixture(self, expected: Tensor, prepared: PreparedWeights) -> Tensor:
        """Log-probabilities (..., vocabulary) of the token emitted by states with probabilities (..., states)."""
        probabilities = expected @ self._emission(prepared).T
        return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def _evidence(log_emission: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The probability that each state emits each token, relative to the most likely state, shape (*tokens.shape,
    states), and the logarithm of that state's probability, shape of ``tokens``."""
    likelihoods = F.embedding(tokens, log_emission)
    highest = likelihoods.detach().amax(dim=-1)
    return (likelihoods - highest.unsqueeze(-1)).exp(), highest


def _filter_text(start: Tensor, transition: Tensor, evidence: Tensor, is_text: Tensor) -> Tensor:
    """:func:`filter_states` that leaves the states unchanged where ``is_text`` (length, batch) is false."""
    expected = [start]
    for position in range(len(evidence)):
        moved = filter_step(expected[-1], transition, evidence[position])
        expected.append(torch.where(is_text[position].unsqueeze(1), moved, expected[-1]))
    return torch.stack(expected[1:])


def _last_state(expected: Tensor, length_before: int) -> RecurrentState:
    """The state after positions with state probabilities (length, batch, states)."""
    last = expected[-1].detach()
    return RecurrentState(
        {"expected": last.clamp_min(torch.finfo(last.dtype).tiny).log()}, length_before + len(expected)
    )
