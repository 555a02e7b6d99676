"""GPT: a causal Transformer over tokens, each position predicting the next token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import GPTConfig
from lmcore.errors import UserError
from lmcore.models.causal import CausalModel, State, TextEncoder, visible_positions
from lmcore.models.cpu.fused import normalize, softcapped_cross_entropy
from lmcore.models.cpu.gpt_step import GPTStep
from lmcore.models.gradient_checkpointing import run_block
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.modern import (
    DecoderBlock,
    FeedForward,
    Linear,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
)
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class GPT(CausalModel, TextEncoder):
    """A decoder-only Transformer language model.

    The weights are float32; ``compute_dtype`` (float32 unless set) is what the activations are computed in.

    Args:
        config: its shape.
        vocabulary: of its tokens.
    """

    config: GPTConfig

    def __init__(self, config: GPTConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size
        self.embedding = nn.Embedding(vocabulary.size, config.hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.token_shift = TokenShift(config.hidden_size) if config.use_token_shift else None
        self.dropout = nn.Dropout(config.dropout)
        rotary = RotaryEmbedding(
            config.hidden_size // config.num_attention_heads, config.max_position_embeddings, config.rope_theta
        )
        self.blocks = nn.ModuleList(_block(config, rotary) for _ in range(config.num_hidden_layers))
        key_value_size = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
        n_value_embeddings = config.num_hidden_layers if config.use_value_embeddings else 0
        self.value_embeddings = nn.ModuleList(
            ValueEmbedding(vocabulary.size, key_value_size) for _ in range(n_value_embeddings)
        )
        self.head = None if config.tie_word_embeddings else Linear(config.hidden_size, vocabulary.size, zero_init=True)

    def hidden(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Normalized output (batch, length, hidden_size) of the last block; see :meth:`forward`."""
        cache = state if isinstance(state, KeyValueCache) else None
        start = cache.length if cache else 0
        n_positions = start + tokens.size(1)
        self._check_length(n_positions)
        visible = None
        if mask is not None:
            visible = visible_positions(mask, tokens.size(1))
        elif start and tokens.size(1) > 1:
            visible = visible_positions(
                torch.ones(1, n_positions, dtype=torch.bool, device=self.device), tokens.size(1)
            )
        embedded = normalize(self.embedding(tokens).to(self.compute_dtype))
        if self.token_shift is not None:
            embedded = self.token_shift(embedded, mask=mask, cache=cache)
        stream = embedded = self.dropout(embedded)
        for layer, block in enumerate(self.blocks):
            own_values = self.value_embeddings[layer](tokens, stream.dtype) if self.value_embeddings else None
            stream = run_block(
                self, block, stream, embedded, own_values=own_values, mask=visible, cache=cache, layer=layer
            )
        if cache:
            cache.advance(tokens.size(1))
        result: Tensor = self.dropout(normalize(stream))
        return result

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self.output_logits(self.hidden(tokens, mask=mask, state=state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """The logits behind the last token alone, see :class:`CausalModel`."""
        if isinstance(state, KeyValueCache) and tokens.size(1) == 1 and not torch.is_grad_enabled():
            self._check_length(state.length + 1)
            if state.step is None and GPTStep.fits(self):
                state.step = GPTStep(self)
            if state.step is not None:
                return state.step(tokens, state, mask)
        return self.output_logits(self.hidden(tokens, mask=mask, state=state)[:, -1])

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., hidden_size)."""
        logits = F.linear(hidden, self.output_weight.to(hidden.dtype)).float()
        cap = self.config.final_logit_softcapping
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of next tokens (batch, length), see :class:`TrainableModel`."""
        hidden = self.hidden(tokens).flatten(0, 1)
        cap = self.config.final_logit_softcapping
        return softcapped_cross_entropy(
            hidden, self.output_weight, targets.flatten(), cap, label_smoothing=label_smoothing
        )

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Hidden states of sequences filled up on the right, which a causal model does not notice."""
        return self.hidden(tokens)

    def flops_per_token(self) -> float:
        """Those of the blocks, for a whole context, and of the product that gives the logits."""
        return self.feature_flops_per_token(self.config.max_position_embeddings) + 6.0 * self.output_weight.numel()

    def feature_flops_per_token(self, length: int) -> float:
        """Those of the blocks, see :class:`TextEncoder`."""
        weights = sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)
        return 6.0 * (weights + self.config.num_hidden_layers * self.config.hidden_size * length)

    def new_state(self, batch_size: int) -> KeyValueCache:
        """An empty cache of keys and values for ``batch_size`` sequences."""
        config = self.config
        shape = (batch_size, config.num_key_value_heads, config.hidden_size // config.num_attention_heads)
        return KeyValueCache(config.num_hidden_layers, shape, self.compute_dtype, self.device)

    @property
    def output_weight(self) -> Tensor:
        """(vocabulary, hidden_size), whose product with a hidden state gives the logits."""
        return self.embedding.weight if self.head is None else self.head.weight

    def _check_length(self, n_positions: int) -> None:
        if n_positions > self.config.max_position_embeddings:
            raise UserError(
                f"{n_positions} tokens do not fit the context of {self.config.max_position_embeddings}: shorten the "
                "input or train with a larger pretrain.model.max_position_embeddings"
            )


def _block(config: GPTConfig, rotary: RotaryEmbedding) -> DecoderBlock:
    attention = SelfAttention(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        rotary=rotary,
    )
    feed_forward = FeedForward(
        hidden_size=config.hidden_size, intermediate_size=config.intermediate_size, activation=config.hidden_act
    )
    return DecoderBlock(attention, feed_forward, dropout=config.dropout, use_mixing=config.use_residual_mixing)
