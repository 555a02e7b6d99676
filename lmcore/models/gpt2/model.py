"""GPT-2, exactly as published (Radford et al. 2019), so that its weights can be taken over and given on."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import GPT2Config
from lmcore.models.causal import CausalModel, State, TextEncoder
from lmcore.models.cpu.fused import softcapped_cross_entropy
from lmcore.models.gradient_checkpointing import run_block
from lmcore.models.layers.classical import (
    INITIAL_DEVIATION,
    GELUFeedForward,
    LayerNorm,
    MultiHeadSelfAttention,
    PreNormBlock,
    causally_visible,
    check_context,
    embedding_table,
    text_positions,
)
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

FEED_FORWARD_WIDENING = 4


class GPT2(CausalModel, TextEncoder):
    """A decoder-only Transformer with learned positions, whose output weights are those of its embedding.

    The weights are float32; ``compute_dtype`` (float32 unless set) is what the activations are computed in.

    Args:
        config: its shape.
        vocabulary: of its tokens.
    """

    config: GPT2Config

    def __init__(self, config: GPT2Config, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        self.positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.num_hidden_layers))
        self.final_norm = LayerNorm(config.hidden_size)

    def hidden(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Normalized output (batch, length, hidden_size) of the last block; see :meth:`forward`."""
        cache = state if isinstance(state, KeyValueCache) else None
        start, n_new = cache.length if cache else 0, tokens.size(1)
        check_context(start + n_new, self.config.max_position_embeddings)
        positions = text_positions(n_new, start, mask, self.device)
        visible = causally_visible(n_new, start, mask, self.device)
        stream = self.dropout((self.embedding(tokens) + self.positions(positions)).to(self.compute_dtype))
        for layer, block in enumerate(self.blocks):
            stream = run_block(self, block, stream, is_causal=True, visible=visible, cache=cache, layer=layer)
        if cache:
            cache.advance(n_new)
        normalized: Tensor = self.final_norm(stream)
        return normalized

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self.output_logits(self.hidden(tokens, mask=mask, state=state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """The logits behind the last token alone, see :class:`CausalModel`."""
        return self.output_logits(self.hidden(tokens, mask=mask, state=state)[:, -1])

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., hidden_size)."""
        return F.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of next tokens (batch, length), see :class:`TrainableModel`."""
        hidden, weight = self.hidden(tokens).flatten(0, 1), self.embedding.weight
        return softcapped_cross_entropy(hidden, weight, targets.flatten(), None, label_smoothing=label_smoothing)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Hidden states of sequences filled up on the right, which a causal model does not notice."""
        return self.hidden(tokens)

    def flops_per_token(self) -> float:
        """Those of the blocks, for a whole context, and of the product that gives the logits."""
        return self.feature_flops_per_token(self.config.max_position_embeddings) + 6.0 * self.embedding.weight.numel()

    def feature_flops_per_token(self, length: int) -> float:
        """Those of the blocks, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + self.config.num_hidden_layers * self.config.hidden_size * length)

    def new_state(self, batch_size: int) -> KeyValueCache:
        """An empty cache of keys and values for ``batch_size`` sequences."""
        config = self.config
        shape = (batch_size, config.num_attention_heads, config.hidden_size // config.num_attention_heads)
        return KeyValueCache(config.num_hidden_layers, shape, self.compute_dtype, self.device)


def _block(config: GPT2Config) -> PreNormBlock:
    # The stream is a sum of two terms a block: drawn so, it starts as wide with many blocks as with few.
    output_deviation = INITIAL_DEVIATION / math.sqrt(2 * config.num_hidden_layers)
    attention = MultiHeadSelfAttention(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        dropout=config.dropout,
        output_deviation=output_deviation,
    )
    feed_forward = GELUFeedForward(
        hidden_size=config.hidden_size,
        intermediate_size=FEED_FORWARD_WIDENING * config.hidden_size,
        approximate=True,
        output_deviation=output_deviation,
    )
    return PreNormBlock(attention, feed_forward, hidden_size=config.hidden_size, dropout=config.dropout)
