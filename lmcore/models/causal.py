"""What generation and evaluation ask of a causal language model, whatever family it is of."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from lmcore.models.cpu.derived import Derived
from lmcore.models.model import Model
from lmcore.models.trainable import TrainableModel


class State(Protocol):
    """What a model keeps of the positions it has seen: keys and values, or a carried state."""

    @property
    def length(self) -> int:
        """How many positions that are."""

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every text several continuations, in adjacent rows of the batch.

        From then on :meth:`select` is given as many rows of one text, one after the other.

        Args:
            n_continuations: of each text.
            is_text: boolean (batch, positions), false where a text is left-padded; None where none is.
        """


class CausalModel(Model):
    """A model of the next token given those before it.

    Attributes:
        max_position_embeddings: the longest sequence it takes in tokens, None where there is no limit.
    """

    max_position_embeddings: int | None

    @abstractmethod
    def new_state(self, batch_size: int) -> State:
        """The state before the first token of ``batch_size`` sequences."""

    @abstractmethod
    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Next-token logits (or log-probabilities), float32 (batch, length, vocabulary).

        Args:
            tokens: int64 (batch, length).
            mask: boolean (batch, positions), false where a sequence is filled up on the left; positions are those
                in the state and the new ones. None where nothing is.
            state: of the positions before these; moved on by these.

        Raises:
            ValueError: if the tokens, with those in the state, are more than the context holds.
        """

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """The logits behind the last token alone, float32 (batch, vocabulary); arguments as for :meth:`forward`."""
        logits: Tensor = self(tokens, mask=mask, state=state)[:, -1]
        return logits


@dataclass
class CarriedState:
    """The state of a model that reads one token after the other: tensors by name, the batch first in each."""

    tensors: dict[str, Tensor]
    length: int = 0
    derived: Derived = field(default_factory=Derived, compare=False, repr=False)
    """What the model has made of its weights to read on behind this state."""

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""
        self.tensors = {name: tensor[rows] for name, tensor in self.tensors.items()}

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Repeat every row, see :class:`State`."""
        self.tensors = {name: part.repeat_interleave(n_continuations, dim=0) for name, part in self.tensors.items()}

    def detached(self) -> "CarriedState":
        """The same state, through which no gradient flows back."""
        return CarriedState({name: tensor.detach() for name, tensor in self.tensors.items()}, self.length)


class RecurrentModel(CausalModel, TrainableModel):
    """A causal model whose state is carried from batch to batch in training as well (truncated backpropagation
    through time, Mikolov et al. 2010)."""

    max_position_embeddings = None

    @abstractmethod
    def new_state(self, batch_size: int) -> CarriedState:
        """The state before the first token of ``batch_size`` sequences."""

    @abstractmethod
    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: CarriedState, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, CarriedState]:
        """The loss as :meth:`loss` gives it, behind ``state``, and the state after the tokens, detached."""

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of sequences that each start anew, see :class:`TrainableModel`."""
        return self.loss_and_state(tokens, targets, self.new_state(len(tokens)), label_smoothing=label_smoothing)[0]


class TextEncoder(TrainableModel):
    """A model that a classifier can be built upon."""

    feature_size: int
    """The size of the vector that :meth:`features` gives for each position."""

    @abstractmethod
    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """The last layer's output, (batch, length, feature_size), for sequences filled up on the right.

        Args:
            tokens: int64 (batch, length).
            is_text: boolean (batch, length), false where a sequence is filled up.
        """

    @abstractmethod
    def feature_flops_per_token(self, length: int) -> float:
        """Floating-point operations of training :meth:`features` on one token of a text of ``length`` tokens."""


def visible_positions(mask: Tensor, n_new: int) -> Tensor:
    """Which positions each of the ``n_new`` last ones may attend to, boolean (batch, 1, n_new, positions).

    Args:
        mask: boolean (batch, positions), false where there is no text.
    """
    positions = torch.arange(mask.size(1), device=mask.device)
    queries = positions[mask.size(1) - n_new :, None]
    # A position without text looks at itself, since looking at nothing has no result.
    visible = (mask.unsqueeze(1) & (positions <= queries)) | (positions == queries)
    return visible.unsqueeze(1)
