"""GPT: a causal Transformer over tokens, each position predicting the next token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.config import GPTConfig
from lmcore.models.kernels import normalize, softcapped_cross_entropy
from lmcore.models.layers import (
    DecoderBlock,
    FeedForward,
    KeyValueCache,
    Linear,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
)
from lmcore.models.trainable import TrainableModel


class GPT(TrainableModel):
    """A decoder-only Transformer language model.

    The weights are float32; ``compute_dtype`` (float32 unless set) is what the activations are computed in.

    Args:
        config: its shape.
        vocabulary_size: number of distinct tokens; ids run from 0 to ``vocabulary_size`` - 1.
    """

    def __init__(self, config: GPTConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary_size = vocabulary_size
        self.compute_dtype = torch.float32
        self.embedding = nn.Embedding(vocabulary_size, config.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.token_shift = TokenShift(config.width) if config.use_token_shift else None
        self.dropout = nn.Dropout(config.dropout)
        rotary = RotaryEmbedding(config.width // config.n_heads, config.context_length, config.rotary_base)
        self.blocks = nn.ModuleList(_block(config, rotary) for _ in range(config.n_layers))
        n_value_embeddings = config.n_layers if config.use_value_embeddings else 0
        self.value_embeddings = nn.ModuleList(
            ValueEmbedding(vocabulary_size, config.width) for _ in range(n_value_embeddings)
        )
        self.head = None if config.tie_embeddings else Linear(config.width, vocabulary_size, zero_init=True)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute activations in this dtype from now on; the weights stay float32."""
        self.compute_dtype = dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.weight.device

    def hidden(self, tokens: Tensor, *, mask: Tensor | None = None, cache: KeyValueCache | None = None) -> Tensor:
        """Normalized output (batch, length, width) of the last block for int64 tokens (batch, length).

        Raises:
            ValueError: if the tokens, with those in the cache, are more than the context holds.
        """
        n_positions = tokens.size(1) + (cache.length if cache else 0)
        if n_positions > self.config.context_length:
            raise ValueError(
                f"{n_positions} tokens do not fit the context of {self.config.context_length}: shorten the input "
                "or train with a larger pretrain.model.context_length"
            )
        embedded = normalize(self.embedding(tokens).to(self.compute_dtype))
        if self.token_shift is not None:
            embedded = self.token_shift(embedded, mask=mask, cache=cache)
        stream = embedded = self.dropout(embedded)
        for layer, block in enumerate(self.blocks):
            own_values = self.value_embeddings[layer](tokens, stream.dtype) if self.value_embeddings else None
            stream = block(stream, embedded, own_values=own_values, mask=mask, cache=cache, layer=layer)
        if cache:
            cache.advance(tokens.size(1))
        return normalize(stream)

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, cache: KeyValueCache | None = None) -> Tensor:
        """Next-token logits, float32 (batch, length, vocabulary), for int64 tokens (batch, length)."""
        return self.logits(self.hidden(tokens, mask=mask, cache=cache))

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., width)."""
        logits = F.linear(hidden, self._output_weight().to(hidden.dtype)).float()
        cap = self.config.logit_soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Sum of the negative log-likelihoods in nats (float32 scalar) of the targets.

        Args:
            tokens: int64 (batch, length).
            targets: int64 (batch, length); positions holding -100 do not count.
        """
        hidden = self.hidden(tokens).flatten(0, 1)
        return softcapped_cross_entropy(hidden, self._output_weight(), targets.flatten(), self.config.logit_soft_cap)

    def training_operations_per_token(self) -> float:
        """Those of the blocks, for a whole context, and of the product that gives the logits."""
        return self.block_operations_per_token(self.config.context_length) + 6.0 * self._output_weight().numel()

    def block_operations_per_token(self, length: int) -> float:
        """Floating-point operations of training the blocks on one token of a sequence of ``length`` tokens."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + self.config.n_layers * self.config.width * length)

    def new_cache(self, batch_size: int) -> KeyValueCache:
        """An empty cache for generating ``batch_size`` sequences."""
        config = self.config
        shape = (batch_size, config.n_heads, config.context_length, config.width // config.n_heads)
        return KeyValueCache(config.n_layers, shape, self.compute_dtype, self.device)

    def _output_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight


def _block(config: GPTConfig, rotary: RotaryEmbedding) -> DecoderBlock:
    attention = SelfAttention(width=config.width, n_heads=config.n_heads, rotary=rotary, dropout=config.dropout)
    feed_forward = FeedForward(width=config.width, hidden_width=config.feed_forward_width, activation=config.activation)
    return DecoderBlock(attention, feed_forward, dropout=config.dropout, use_mixing=config.use_residual_mixing)
