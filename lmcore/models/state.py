"""The state of a model after the tokens it has read."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from lmcore.models.prepared_weights import PreparedWeights


class ModelState(Protocol):
    """The state of a generative model: keys and values of the positions read so far, or a recurrent state."""

    @property
    def length(self) -> int:
        """The number of positions read so far."""

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every text several continuations, in adjacent rows of the batch.

        From then on the rows given to :meth:`select` come in groups: all continuations of one text together.

        Args:
            n_continuations: the number of continuations of each text.
            is_text: bool of shape (batch, positions), false at left padding; None if there is no padding.
        """


@dataclass
class RecurrentState:
    """The state of a recurrent model: named tensors, each with the batch as its first dimension."""

    tensors: dict[str, Tensor]
    length: int = 0
    prepared: PreparedWeights = field(default_factory=PreparedWeights, compare=False, repr=False)
    """Weights that the model has prepared for reading on from this state."""

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""
        self.tensors = {name: tensor[rows] for name, tensor in self.tensors.items()}

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Repeat every row, see :meth:`ModelState.fork`."""
        self.tensors = {name: part.repeat_interleave(n_continuations, dim=0) for name, part in self.tensors.items()}

    def detached(self) -> "RecurrentState":
        """The same state without gradients."""
        return RecurrentState({name: tensor.detach() for name, tensor in self.tensors.items()}, self.length)
