"""BERT, exactly as published (Devlin et al. 2019): a bidirectional Transformer that guesses hidden tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.causal import TextEncoder
from lmcore.models.config import BERTConfig
from lmcore.models.recomputation import run_block
from lmcore.models.transformer_layers import (
    BiasedLinear,
    GELUFeedForward,
    LayerNorm,
    MultiHeadSelfAttention,
    check_context,
    embedding_table,
    visible_text,
)
from lmcore.tokens.vocabulary import Vocabulary

NORM_EPSILON = 1e-12


class BERT(TextEncoder):
    """A Transformer encoder with learned positions and a head that guesses tokens from both sides.

    Every text is of one segment: the published model's segment embedding is a constant, which its positions absorb.
    The weights are float32; ``compute_dtype`` (float32 unless set) is what the activations are computed in.

    Args:
        config: its shape.
        vocabulary: of its tokens.
    """

    config: BERTConfig

    def __init__(self, config: BERTConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.context_length = config.context_length
        self.feature_width = config.width
        self.embedding = embedding_table(vocabulary.size, config.width)
        self.positions = embedding_table(config.context_length, config.width)
        self.embedding_norm = LayerNorm(config.width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(PostNormBlock(config) for _ in range(config.n_layers))
        self.head = GuessingHead(config.width, vocabulary.size)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Output (batch, length, width) of the last block, see :class:`TextEncoder`.

        Raises:
            ValueError: if the tokens are more than the context holds.
        """
        check_context(tokens.size(1), self.config.context_length)
        embedded = self.embedding(tokens) + self.positions.weight[: tokens.size(1)]
        hidden: Tensor = self.dropout(self.embedding_norm(embedded.to(self.compute_dtype)))
        visible = visible_text(is_text)
        for block in self.blocks:
            hidden = run_block(self, block, hidden, visible=visible)
        return hidden

    def forward(self, tokens: Tensor, *, is_text: Tensor | None = None) -> Tensor:
        """Logits of the token at every position itself, float32 (batch, length, vocabulary).

        Args:
            tokens: int64 (batch, length), filled up on the right; hidden ones are the vocabulary's mask token.
            is_text: boolean (batch, length), false where a sequence is filled up; all that is no padding when absent.
        """
        if is_text is None:
            is_text = tokens != self.vocabulary.padding_id
        return self.output_logits(self.features(tokens, is_text))

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of the last block's output (..., width)."""
        logits: Tensor = self.head(hidden, self.embedding.weight)
        return logits

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of the hidden tokens, see :class:`TrainableModel`; every other target has to be -100."""
        hidden = self.features(tokens, tokens != self.vocabulary.padding_id)
        # Most positions hide nothing: they cost no logits.
        is_hidden = targets != -100
        logits = self.output_logits(hidden[is_hidden])
        return F.cross_entropy(logits, targets[is_hidden], reduction="sum", label_smoothing=label_smoothing)

    def training_operations_per_token(self) -> float:
        """Those of the blocks, for a whole context, and of the head for the share of tokens that are hidden."""
        head = self.head.transform.weight.numel() + self.embedding.weight.numel()
        blocks = self.feature_operations_per_token(self.config.context_length)
        return blocks + 6.0 * self.config.masking.share * head

    def feature_operations_per_token(self, length: int) -> float:
        """Those of the blocks, in which every token attends to all others, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + 2 * self.config.n_layers * self.config.width * length)


class PostNormBlock(nn.Module):
    """Attention and feed-forward, each added to the residual stream, which is then normalized
    (Vaswani et al. 2017)."""

    def __init__(self, config: BERTConfig) -> None:
        super().__init__()
        width = config.width
        self.attention = MultiHeadSelfAttention(width=width, n_heads=config.n_heads, dropout=config.dropout)
        self.attention_norm = LayerNorm(width, eps=NORM_EPSILON)
        self.feed_forward = GELUFeedForward(width=width, hidden_width=config.feed_forward_width, approximate=False)
        self.feed_forward_norm = LayerNorm(width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, *, visible: Tensor | None = None) -> Tensor:
        """(batch, length, width) to the same; ``visible`` is boolean, true where a query may look."""
        attended = self.attention(hidden, is_causal=False, visible=visible)
        hidden = self.attention_norm(hidden + self.dropout(attended))
        result: Tensor = self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return result


class GuessingHead(nn.Module):
    """From a position's features to the logits of the token that stands there, by the table of embeddings."""

    def __init__(self, width: int, vocabulary_size: int) -> None:
        super().__init__()
        self.transform = BiasedLinear(width, width)
        self.norm = LayerNorm(width, eps=NORM_EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(..., width) and a table (vocabulary, width) to float32 (..., vocabulary)."""
        transformed = self.norm(F.gelu(self.transform(hidden)))
        return F.linear(transformed, table.to(hidden.dtype)).float() + self.bias
