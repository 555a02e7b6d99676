"""The layers of Llama."""

from torch import Tensor, nn

from lmcore.config.published_models import LlamaConfig
from lmcore.models.layers.attention import attend, repeat_heads
from lmcore.models.layers.feed_forward import FeedForward
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.linear import BiasedLinear, BiasFreeLinear
from lmcore.models.layers.normalization import RMSNorm
from lmcore.models.layers.rotary import RotaryPositions


class LlamaAttention(nn.Module):
    """Causal self-attention with rotary positions and, if configured, biases and normalized queries and keys."""

    def __init__(self, config: LlamaConfig, rotary: RotaryPositions) -> None:
        super().__init__()
        self.head_dim, self.dropout, self.rotary = config.head_dim, config.attention_dropout, rotary
        self.group_size = config.num_attention_heads // config.num_key_value_heads
        query_size, key_size = (
            config.head_dim * heads for heads in (config.num_attention_heads, config.num_key_value_heads)
        )
        input_layer = BiasedLinear if config.attention_bias else BiasFreeLinear
        self.query = input_layer(config.hidden_size, query_size)
        self.key = input_layer(config.hidden_size, key_size)
        self.value = input_layer(config.hidden_size, key_size)
        self.output = (
            BiasedLinear(query_size, config.hidden_size)
            if config.attention_output_bias
            else BiasFreeLinear(query_size, config.hidden_size, zero_init=True)
        )
        self.query_norm = RMSNorm(config.head_dim, eps=config.rms_norm_eps) if config.use_qk_norm else nn.Identity()
        self.key_norm = RMSNorm(config.head_dim, eps=config.rms_norm_eps) if config.use_qk_norm else nn.Identity()

    def forward(
        self, hidden: Tensor, *, visible: Tensor | None = None, cache: KeyValueCache | None = None, layer: int = 0
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape.

        Args:
            hidden: normalized input.
            visible: bool of shape (batch, 1, length, positions), true where a query may attend; None for causal
                attention.
            cache: keys and values of earlier positions; these positions are appended.
            layer: index of this layer in ``cache``.
        """
        start = cache.length if cache else 0
        query = self.rotary(self.query_norm(self._split_heads(self.query(hidden))), start)
        key = self.rotary(self.key_norm(self._split_heads(self.key(hidden))), start)
        value = self._split_heads(self.value(hidden)).transpose(1, 2)
        if cache:
            attended = cache.attend(layer, query, key, value, visible)
        else:
            key, value = (repeat_heads(part, self.group_size) for part in (key, value))
            attended = attend(query, key, value, visible, dropout=self.dropout if self.training else 0.0)
        projected: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return projected

    def _split_heads(self, features: Tensor) -> Tensor:
        """Map (batch, length, heads * head_dim) to (batch, length, heads, head_dim)."""
        return features.view(*features.shape[:-1], -1, self.head_dim)


class LlamaBlock(nn.Module):
    """Attention and feed-forward, each with a normalized input and added to the residual stream."""

    def __init__(self, config: LlamaConfig, rotary: RotaryPositions) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.attention = LlamaAttention(config, rotary)
        self.feed_forward_norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.feed_forward = FeedForward(
            hidden_size=config.hidden_size, intermediate_size=config.intermediate_size, hidden_act="swiglu"
        )

    def forward(
        self, hidden: Tensor, *, visible: Tensor | None = None, cache: KeyValueCache | None = None, layer: int = 0
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape; arguments as for :class:`LlamaAttention`."""
        hidden = hidden + self.attention(self.attention_norm(hidden), visible=visible, cache=cache, layer=layer)
        result: Tensor = hidden + self.feed_forward(self.feed_forward_norm(hidden))
        return result
