"""BERT, exactly as published (Devlin et al. 2019): a bidirectional Transformer that guesses hidden tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import BERTConfig
from lmcore.models.causal import TextEncoder
from lmcore.models.gradient_checkpointing import run_block
from lmcore.models.layers.classical import (
    BiasedLinear,
    GELUFeedForward,
    LayerNorm,
    MultiHeadSelfAttention,
    check_context,
    embedding_table,
    visible_text,
)
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

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
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        self.positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.embedding_norm = LayerNorm(config.hidden_size, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(PostNormBlock(config) for _ in range(config.num_hidden_layers))
        self.head = GuessingHead(config.hidden_size, vocabulary.size)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Output (batch, length, hidden_size) of the last block, see :class:`TextEncoder`.

        Raises:
            ValueError: if the tokens are more than the context holds.
        """
        check_context(tokens.size(1), self.config.max_position_embeddings)
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
        """Float32 logits (..., vocabulary) of the last block's output (..., hidden_size)."""
        logits: Tensor = self.head(hidden, self.embedding.weight)
        return logits

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of the hidden tokens, see :class:`TrainableModel`; every other target has to be -100."""
        hidden = self.features(tokens, tokens != self.vocabulary.padding_id)
        # Most positions hide nothing: they cost no logits.
        is_hidden = targets != -100
        logits = self.output_logits(hidden[is_hidden])
        return F.cross_entropy(logits, targets[is_hidden], reduction="sum", label_smoothing=label_smoothing)

    def flops_per_token(self) -> float:
        """Those of the blocks, for a whole context, and of the head for the share of tokens that are hidden."""
        head = self.head.transform.weight.numel() + self.embedding.weight.numel()
        blocks = self.feature_flops_per_token(self.config.max_position_embeddings)
        return blocks + 6.0 * self.config.masking.mlm_probability * head

    def feature_flops_per_token(self, length: int) -> float:
        """Those of the blocks, in which every token attends to all others, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + 2 * self.config.num_hidden_layers * self.config.hidden_size * length)


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
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, *, visible: Tensor | None = None) -> Tensor:
        """(batch, length, hidden_size) to the same; ``visible`` is boolean, true where a query may look."""
        attended = self.attention(hidden, is_causal=False, visible=visible)
        hidden = self.attention_norm(hidden + self.dropout(attended))
        result: Tensor = self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))
        return result


class GuessingHead(nn.Module):
    """From a position's features to the logits of the token that stands there, by the table of embeddings."""

    def __init__(self, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.transform = BiasedLinear(hidden_size, hidden_size)
        self.norm = LayerNorm(hidden_size, eps=NORM_EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """(..., hidden_size) and a table (vocabulary, hidden_size) to float32 (..., vocabulary)."""
        transformed = self.norm(F.gelu(self.transform(hidden)))
        return F.linear(transformed, table.to(hidden.dtype)).float() + self.bias
