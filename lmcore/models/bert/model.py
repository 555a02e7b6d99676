"""BERT exactly as published (Devlin et al. 2019): a bidirectional Transformer that predicts masked tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.published_models import BERTConfig
from lmcore.models.layers.attention import check_context_length, padding_mask, same_document, text_positions
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.linear import BiasedLinear
from lmcore.models.layers.transformer import (
    GELUFeedForward,
    LayerNorm,
    MultiHeadSelfAttention,
    embedding_table,
)
from lmcore.models.trainable import MaskedModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NORM_EPSILON = 1e-12


class BERT(MaskedModel):
    """A Transformer encoder with learned positions and a head that predicts masked tokens.

    Every text is one segment: the published model's segment embedding is then a constant, which is added to the
    positions.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary.
    """

    config: BERTConfig

    def __init__(self, config: BERTConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        self.positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.embedding_norm = LayerNorm(config.hidden_size, eps=NORM_EPSILON)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(PostNormBlock(config) for _ in range(config.num_hidden_layers))
        self.head = MaskedLanguageModelHead(config.hidden_size, vocabulary.size)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """The output of the last block, shape (batch, length, hidden_size), see :class:`TextEncoder`.

        Raises:
            UserError: the tokens exceed the context.
        """
        return self._run_blocks(tokens, self.positions.weight[: tokens.size(1)], padding_mask(is_text))

    def packed_features(self, tokens: Tensor, document_ids: Tensor) -> Tensor:
        """As :meth:`features`, for packed documents, see :meth:`TrainableModel.loss`."""
        positions = text_positions(tokens.size(1), 0, None, self.device, document_ids)
        return self._run_blocks(tokens, self.positions(positions), same_document(document_ids, document_ids))

    def forward(self, tokens: Tensor, *, is_text: Tensor | None = None) -> Tensor:
        """Logits of the token at every position, see :class:`MaskedModel`."""
        if is_text is None:
            is_text = tokens != self.vocabulary.padding_id
        return self.output_logits(self.features(tokens, is_text))

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of the last block's output (..., hidden_size)."""
        logits: Tensor = self.head(hidden, self.embedding.weight)
        return logits

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed loss of the masked tokens, see :class:`TrainableModel`; all other targets have to be -100."""
        if document_ids is None:
            hidden = self.features(tokens, tokens != self.vocabulary.padding_id)
        else:
            hidden = self.packed_features(tokens, document_ids)
        # Only masked positions, which are few, need logits.
        is_masked = targets != -100
        logits = self.output_logits(hidden[is_masked])
        return F.cross_entropy(logits, targets[is_masked], reduction="sum", label_smoothing=label_smoothing)

    def flops_per_token(self) -> float:
        """The operations of the blocks, for a full context, and of the head for the masked fraction of the tokens."""
        head = self.head.transform.weight.numel() + self.embedding.weight.numel()
        blocks = self.feature_flops_per_token(self.config.max_position_embeddings)
        return blocks + 6.0 * self.config.masking.mlm_probability * head

    def feature_flops_per_token(self, length: int) -> float:
        """The operations of the blocks, in which every token attends to all others, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + 2 * self.config.num_hidden_layers * self.config.hidden_size * length)

    def _run_blocks(self, tokens: Tensor, positions: Tensor, visible: Tensor | None) -> Tensor:
        check_context_length(tokens.size(1), self.config.max_position_embeddings)
        embedded = (self.embedding(tokens) + positions).to(self.compute_dtype)
        hidden: Tensor = self.dropout(self.embedding_norm(embedded))
        for block in self.blocks:
            hidden = self.run_block(block, hidden, visible=visible)
        return hidden


class PostNormBlock(nn.Module):
    """Attention and feed-forward, each added to the residual stream, which is then normalized
    (Vaswani et al. 2017)."""

    def __init__(self, config: BERTConfig) -> None:
        super().__init__()
        hidden_size = config.hidden_size
        self.attention = MultiHeadSelfAttention(
            hidden_size=hidden_size, num_attention_heads=config.num_attention_heads, dropout=config.dropout
        )
        self.attention_norm = LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.feed_forward = GELUFeedForward(
            hidden_size=hidden_size, intermediate_size=config.intermediate_size, approximate=False
        )
        self.feed_forward_norm = LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.dropout = Dropout(config.dropout)

    def forward(self, hidden: Tensor, *, visible: Tensor | None = None) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape; ``visible`` is true where a query may attend."""
        attended = self.attention(hidden, is_causal=False, visible=visible)
        hidden = self.attention_norm(hidden + self.dropout(attended))
        result: Tensor = self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return result


class MaskedLanguageModelHead(nn.Module):
    """Predicts the token at each position; the output weights are those of the embedding."""

    def __init__(self, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.transform = BiasedLinear(hidden_size, hidden_size)
        self.norm = LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Map (..., hidden_size), with a table (vocabulary, hidden_size), to float32 logits (..., vocabulary)."""
        transformed = self.norm(F.gelu(self.transform(hidden)))
        return F.linear(transformed, table.to(hidden.dtype)).float() + self.bias
