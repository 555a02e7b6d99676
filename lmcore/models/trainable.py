"""Models that are trained by gradient descent, and those of them that encode text."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lmcore.models.model import Model
from lmcore.models.state import RecurrentState


class TrainableModel(Model):
    """A model with a differentiable loss. Its weights are float32; activations are computed in ``compute_dtype``."""

    compute_dtype = torch.float32
    """The dtype of activations, float32 or bfloat16."""

    gradient_checkpointing = False
    """Whether blocks store only their inputs and recompute activations in the backward pass (Chen et al. 2016)."""

    is_compilable: ClassVar[bool] = True
    """Whether ``torch.compile`` can speed up the loss."""

    carries_state: ClassVar[bool] = False
    """Whether training carries a state from batch to batch, so that each batch has to continue the one before it."""

    @abstractmethod
    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed negative log-likelihood of the targets in nats, a float32 scalar.

        Args:
            tokens: int64 of shape (batch, length).
            targets: int64; targets of -100 are ignored.
            label_smoothing: the fraction of each target's probability that is spread evenly over the vocabulary
                (Szegedy et al. 2016); the loss is then the cross-entropy with that distribution.
            document_ids: int64 of shape (batch, length), the document of each token, if several are packed into a
                sequence: equal for adjacent tokens of a document. No token attends to another document, and absolute
                positions start again with each. None: a sequence is one text.
        """

    def measured(self) -> dict[str, float]:
        """Metrics of the batch whose loss was computed last, besides the loss: means over its targets, by name."""
        return {}

    @abstractmethod
    def flops_per_token(self) -> float:
        """Floating-point operations of one training step per token, forward and backward.

        Six for each weight of a matrix product, plus those of attention over the longest input (Chowdhery et al. 2022,
        PaLM, appendix B; causal attention is counted without the masked half).
        """

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute activations in ``dtype`` (float32 or bfloat16) from now on."""
        self.compute_dtype = dtype

    def run_block(self, block: nn.Module, *arguments: Any, **named: Any) -> Tensor:
        """Call ``block``, with gradient checkpointing if it is enabled; dropout is then recomputed identically."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            result: Tensor = checkpoint(block, *arguments, use_reentrant=False, preserve_rng_state=True, **named)
        else:
            result = block(*arguments, **named)
        return result


class StatefulModel(TrainableModel):
    """A model whose training carries a state from batch to batch, a part of its checkpoints."""

    @abstractmethod
    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: RecurrentState | None, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, RecurrentState]:
        """The loss of a batch that continues from ``state`` (None: from the start), and the state after the batch,
        detached; see :class:`TrainableModel`."""


class TextEncoder(TrainableModel):
    """A model whose features a classifier can be trained on."""

    feature_size: int
    """The size of the feature vector of each position."""

    @abstractmethod
    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """The output of the last layer, of shape (batch, length, feature_size), for right-padded sequences.

        Args:
            tokens: int64 of shape (batch, length).
            is_text: bool of shape (batch, length), false at padding.
        """

    @abstractmethod
    def feature_flops_per_token(self, length: int) -> float:
        """Floating-point operations per token of training :meth:`features` on texts of ``length`` tokens."""


class MaskedModel(TextEncoder):
    """A model that predicts masked tokens from the tokens on both sides.

    Attributes:
        max_position_embeddings: the longest sequence in tokens.
    """

    objective = "masked_tokens"
    max_position_embeddings: int

    @abstractmethod
    def forward(self, tokens: Tensor, *, is_text: Tensor | None = None) -> Tensor:
        """Logits of the token at every position itself, float32 of shape (batch, length, vocabulary).

        Args:
            tokens: int64 of shape (batch, length), right-padded; masked tokens are the vocabulary's mask token.
            is_text: bool of shape (batch, length), false at padding. Default: every token but the padding token.
        """

    @abstractmethod
    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of features (..., feature_size)."""
