"""The hidden Markov language model: a chain of states, each of which makes one token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import HMMConfig
from lmcore.models.causal import CarriedState, RecurrentModel, State
from lmcore.models.cpu.derived import Derived
from lmcore.models.cpu.recurrence import LEAST_EXPECTED, filter_states, filter_step
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class HMM(RecurrentModel):
    """A hidden Markov model (Rabiner 1989) trained by the gradient of its exact likelihood, which the forward
    algorithm gives.

    All is float32, whatever :meth:`compute_in` is told. Probabilities are scaled at every position, those of tokens
    kept as logarithms, so that nothing vanishes.

    Args:
        config: its shape.
        vocabulary: of its tokens.
    """

    config: HMMConfig

    def __init__(self, config: HMMConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        n_states, rank = config.num_states, config.emission_rank
        self.start = nn.Parameter(torch.zeros(n_states))
        self.transition = nn.Parameter(torch.randn(n_states, n_states))
        # Equal states would have equal gradients for ever: what tells them apart is drawn.
        self.emission = nn.Parameter(torch.randn(vocabulary.size, rank or n_states) * (rank or 1) ** -0.5)
        self.state_vectors = nn.Parameter(torch.randn(n_states, rank)) if rank else None

    def compute_in(self, dtype: torch.dtype) -> None:
        """Nothing: products of probabilities want all the precision there is."""

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Next-token log-probabilities, see :class:`CausalModel`."""
        before = self._state_or_new(tokens, state)
        return self._log_mixture(self._expected_states(tokens, mask, before), before.derived)

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """The log-probabilities behind the last token alone, see :class:`CausalModel`."""
        before = self._state_or_new(tokens, state)
        return self._log_mixture(self._expected_states(tokens, mask, before)[:, -1], before.derived)

    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: CarriedState, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, CarriedState]:
        """Summed loss of next tokens (batch, length) and the state behind them, see :class:`RecurrentModel`.

        What label smoothing adds needs every token's probability, which takes many times as long.
        """
        emission = self._log_emission(state.derived)
        evidence, _ = _evidence(emission, tokens.T)
        expected = filter_states(self._start(len(tokens), state), self._transition(), evidence)
        counts = targets.T != -100
        made, scale = _evidence(emission, targets.T.where(counts, 0))
        likelihood = (expected * made).sum(dim=2).clamp_min(LEAST_EXPECTED).log() + scale
        if label_smoothing:
            likelihood = likelihood.lerp(self._log_mixture(expected, state.derived).mean(dim=2), label_smoothing)
        return -likelihood.where(counts, 0.0).sum(), _carried(expected, state.length)

    def flops_per_token(self) -> float:
        """Those of the transitions. The table of emissions is made once for a batch, whatever its size."""
        return 6.0 * self.config.num_states**2

    def new_state(self, batch_size: int) -> CarriedState:
        """``expected``: the logarithm of how likely each state is to make the next token, float32 (batch, states)."""
        return CarriedState({"expected": self.start.detach().log_softmax(dim=0).repeat(batch_size, 1)})

    def _state_or_new(self, tokens: Tensor, state: State | None) -> CarriedState:
        return state if isinstance(state, CarriedState) else self.new_state(len(tokens))

    def _expected_states(self, tokens: Tensor, mask: Tensor | None, before: CarriedState) -> Tensor:
        """How likely each state is to make the token behind each position, (batch, length, states); ``before`` is
        moved on."""
        start, transition = self._start(len(tokens), before), self._transition()
        evidence, _ = _evidence(self._log_emission(before.derived), tokens.T)
        is_text = None if mask is None else mask[:, before.length : before.length + tokens.size(1)]
        if is_text is None or is_text.all():
            expected = filter_states(start, transition, evidence)
        else:
            expected = _filter_text(start, transition, evidence, is_text.T)
        reached = _carried(expected, before.length)
        before.tensors, before.length = reached.tensors, reached.length
        return expected.transpose(0, 1)

    def _start(self, batch_size: int, state: CarriedState) -> Tensor:
        """Where the chain is before the tokens; learned where nothing was before."""
        if state.length == 0:
            return self.start.softmax(dim=0).expand(batch_size, -1)
        return state.tensors["expected"].exp()

    def _transition(self) -> Tensor:
        return self.transition.softmax(dim=1)

    def _log_emission(self, derived: Derived) -> Tensor:
        """Of each token (row) how likely each state makes it, log-probabilities (vocabulary, states)."""
        return derived.get("log", self._emission_weights(), self._make_log_emission)

    def _make_log_emission(self) -> Tensor:
        scores = self.emission if self.state_vectors is None else self.emission @ self.state_vectors.T
        return scores.log_softmax(dim=0)

    def _emission(self, derived: Derived) -> Tensor:
        """The same as probabilities."""
        return derived.get("plain", self._emission_weights(), lambda: self._log_emission(derived).exp())

    def _emission_weights(self) -> list[Tensor]:
        return [self.emission] if self.state_vectors is None else [self.emission, self.state_vectors]

    def _log_mixture(self, expected: Tensor, derived: Derived) -> Tensor:
        """Log-probabilities (..., vocabulary) of the token made by states (..., states)."""
        probabilities = expected @ self._emission(derived).T
        return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def _evidence(log_emission: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """How likely each state makes each token, relative to the state most likely to, (*shape of tokens, states), and the
    logarithm of how likely that one is, of the shape of the tokens."""
    likelihoods = F.embedding(tokens, log_emission)
    highest = likelihoods.detach().amax(dim=-1)
    return (likelihoods - highest.unsqueeze(-1)).exp(), highest


def _filter_text(start: Tensor, transition: Tensor, evidence: Tensor, is_text: Tensor) -> Tensor:
    """:func:`filter_states` where ``is_text`` (length, batch) is true; where it is false nothing happens."""
    expected = [start]
    for place in range(len(evidence)):
        moved = filter_step(expected[-1], transition, evidence[place])
        expected.append(torch.where(is_text[place].unsqueeze(1), moved, expected[-1]))
    return torch.stack(expected[1:])


def _carried(expected: Tensor, length_before: int) -> CarriedState:
    """The state behind positions (length, batch, states)."""
    last = expected[-1].detach()
    return CarriedState({"expected": last.clamp_min(torch.finfo(last.dtype).tiny).log()}, length_before + len(expected))
