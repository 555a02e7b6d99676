"""GPT-2, exactly as published (Radford et al. 2019), so that its weights can be taken over and given on."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.causal import CausalModel, State, TextEncoder
from lmcore.models.config import GPT2Config
from lmcore.models.kernels import softcapped_cross_entropy
from lmcore.models.key_value_cache import KeyValueCache
from lmcore.models.recomputation import run_block
from lmcore.models.transformer_layers import (
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
from lmcore.tokens.vocabulary import Vocabulary

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
        self.context_length = config.context_length
        self.feature_width = config.width
        self.embedding = embedding_table(vocabulary.size, config.width)
        self.positions = embedding_table(config.context_length, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layers))
        self.final_norm = LayerNorm(config.width)

    def hidden(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Normalized output (batch, length, width) of the last block; arguments and errors as for :meth:`forward`."""
        cache = state if isinstance(state, KeyValueCache) else None
        start, n_new = cache.length if cache else 0, tokens.size(1)
        check_context(start + n_new, self.config.context_length)
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
        """Float32 logits (..., vocabulary) of hidden states (..., width)."""
        return F.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of next tokens (batch, length), see :class:`TrainableModel`."""
        hidden, weight = self.hidden(tokens).flatten(0, 1), self.embedding.weight
        return softcapped_cross_entropy(hidden, weight, targets.flatten(), None, label_smoothing=label_smoothing)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Hidden states of sequences filled up on the right, which a causal model does not notice."""
        return self.hidden(tokens)

    def training_operations_per_token(self) -> float:
        """Those of the blocks, for a whole context, and of the product that gives the logits."""
        return self.feature_operations_per_token(self.config.context_length) + 6.0 * self.embedding.weight.numel()

    def feature_operations_per_token(self, length: int) -> float:
        """Those of the blocks, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + self.config.n_layers * self.config.width * length)

    def new_state(self, batch_size: int) -> KeyValueCache:
        """An empty cache of keys and values for ``batch_size`` sequences."""
        config = self.config
        shape = (batch_size, config.n_heads, config.width // config.n_heads)
        return KeyValueCache(config.n_layers, shape, self.compute_dtype, self.device)


def _block(config: GPT2Config) -> PreNormBlock:
    # The stream is a sum of two terms a block: drawn so, it starts as wide with many blocks as with few.
    output_deviation = INITIAL_DEVIATION / math.sqrt(2 * config.n_layers)
    attention = MultiHeadSelfAttention(
        width=config.width, n_heads=config.n_heads, dropout=config.dropout, output_deviation=output_deviation
    )
    feed_forward = GELUFeedForward(
        width=config.width,
        hidden_width=FEED_FORWARD_WIDENING * config.width,
        approximate=True,
        output_deviation=output_deviation,
    )
    return PreNormBlock(attention, feed_forward, width=config.width, dropout=config.dropout)
