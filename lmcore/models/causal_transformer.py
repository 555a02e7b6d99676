"""What causal Transformers with a cache of keys and values have in common."""

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.generative import CausalModel
from lmcore.models.layers.functional import linear_cross_entropy
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.state import ModelState
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class CausalTransformer(CausalModel, TextEncoder):
    """A causal model whose logits are computed from its last hidden states by one matrix product.

    A subclass sets ``blocks`` and writes :meth:`hidden_states`, ``output_weight`` and :meth:`new_state`.
    """

    blocks: nn.ModuleList

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size

    @abstractmethod
    def hidden_states(
        self,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        state: ModelState | None = None,
        document_ids: Tensor | None = None,
    ) -> Tensor:
        """The normalized output of the last block, shape (batch, length, hidden_size); see :meth:`forward`.

        With ``document_ids``, see :meth:`TrainableModel.loss`, there is neither a mask nor a state.
        """

    @property
    @abstractmethod
    def output_weight(self) -> Tensor:
        """Shape (vocabulary, hidden_size); its product with a hidden state gives the logits."""

    @property
    @abstractmethod
    def attention_size(self) -> int:
        """The size of the queries of a block, all heads together."""

    @abstractmethod
    def new_state(self, batch_size: int) -> KeyValueCache:
        """An empty cache of keys and values for ``batch_size`` sequences."""

    @property
    def takes_drafts(self) -> bool:
        """In float32, see :class:`CausalModel`."""
        return self.compute_dtype == torch.float32

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self.output_logits(self.hidden_states(tokens, mask=mask, state=state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Logits of the token after the last one, see :class:`CausalModel`."""
        return self.output_logits(self.hidden_states(tokens, mask=mask, state=state)[:, -1])

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., hidden_size)."""
        return F.linear(hidden, self.output_weight.to(hidden.dtype)).float()

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed loss of next tokens (batch, length), see :class:`TrainableModel`."""
        hidden = self.hidden_states(tokens, document_ids=document_ids).flatten(0, 1)
        return linear_cross_entropy(hidden, self.output_weight, targets.flatten(), label_smoothing=label_smoothing)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Hidden states of right-padded sequences; padding on the right does not affect a causal model."""
        return self.hidden_states(tokens)

    def flops_per_token(self) -> float:
        """The operations of the blocks, for a full context, and of the output layer."""
        return self.feature_flops_per_token(self.config.max_position_embeddings) + 6.0 * self.output_weight.numel()

    def feature_flops_per_token(self, length: int) -> float:
        """The operations of the blocks, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + len(self.blocks) * self.attention_size * length)
