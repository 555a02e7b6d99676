"""GPT-2 exactly as published (Radford et al. 2019), so that its weights can be imported and exported."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from lmcore.config.published_models import GPT2Config
from lmcore.models.causal_transformer import CausalTransformer
from lmcore.models.cpu.gpt2_decoding import GPT2Weights, decode
from lmcore.models.gpt2.decoding import has_plain_layers, prepare_weights
from lmcore.models.layers.attention import causal_mask, check_context_length, text_positions
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.linear import INITIAL_STD
from lmcore.models.layers.transformer import (
    GELUFeedForward,
    LayerNorm,
    MultiHeadSelfAttention,
    PreNormBlock,
    embedding_table,
)
from lmcore.models.state import ModelState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

INTERMEDIATE_RATIO = 4
"""The intermediate size of the feed-forward layers, as a multiple of the hidden size."""


class GPT2(CausalTransformer):
    """A decoder-only Transformer with learned positions, whose output weights are those of its embedding.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary.
    """

    config: GPT2Config

    def __init__(self, config: GPT2Config, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        self.positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(_build_block(config) for _ in range(config.num_hidden_layers))
        self.final_norm = LayerNorm(config.hidden_size)
        self._in_8bit: GPT2Weights | None = None

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
        cache = state if isinstance(state, KeyValueCache) else None
        start, n_new = cache.length if cache else 0, tokens.size(1)
        check_context_length(start + n_new, self.config.max_position_embeddings)
        positions = text_positions(n_new, start, mask, self.device, document_ids)
        visible = causal_mask(n_new, start, mask, self.device, document_ids)
        stream = self.dropout((self.embedding(tokens) + self.positions(positions)).to(self.compute_dtype))
        for layer, block in enumerate(self.blocks):
            stream = self.run_block(block, stream, is_causal=True, visible=visible, cache=cache, layer=layer)
        if cache:
            cache.advance(n_new)
        normalized: Tensor = self.final_norm(stream)
        return normalized

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self._logits(tokens, mask, state, slice(None))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Logits of the token after the last one, see :class:`CausalModel`."""
        return self._logits(tokens, mask, state, slice(-1, None)).squeeze(1)

    def decoding_weights(self, state: KeyValueCache) -> GPT2Weights | None:
        """The weights in the form for reading tokens after ``state``, see :meth:`GPT.decoding_weights`."""
        if self.training or not torch.is_inference_mode_enabled():
            return None
        if self._in_8bit is not None:
            return self._in_8bit
        if state.weights is None:
            state.weights = list(self.parameters())
        return state.prepared.get("decoding", state.weights, self._prepare_weights)

    @property
    def reads_alike(self) -> bool:
        """Not with 8-bit weights, see :class:`CausalModel`."""
        return super().reads_alike and self._in_8bit is None

    @property
    def output_weight(self) -> Tensor:
        """Those of the embedding, shape (vocabulary, hidden_size)."""
        return self.embedding.weight

    @property
    def attention_size(self) -> int:
        """The size of the queries of a block, all heads together."""
        return self.config.hidden_size

    def new_state(self, batch_size: int) -> KeyValueCache:
        """An empty cache of keys and values for ``batch_size`` sequences."""
        config = self.config
        shape = (batch_size, config.num_attention_heads, config.hidden_size // config.num_attention_heads)
        return KeyValueCache(config.num_hidden_layers, shape, self.compute_dtype, self.device)

    def store_in_8bit(self) -> bool:
        """Compute with 8-bit weights from now on, see :class:`EightBitModel`."""
        self._in_8bit = self._prepare_weights(in_8bit=True)
        return self._in_8bit is not None

    def _logits(self, tokens: Tensor, mask: Tensor | None, state: ModelState | None, positions: slice) -> Tensor:
        """The logits of some of the new positions."""
        if state is None and self._in_8bit is not None:
            state = self.new_state(len(tokens))
        if not isinstance(state, KeyValueCache) or (weights := self.decoding_weights(state)) is None:
            return self.output_logits(self.hidden_states(tokens, mask=mask, state=state)[:, positions])
        start, n_new = state.length, tokens.size(1)
        check_context_length(start + n_new, self.config.max_position_embeddings)
        new_positions = text_positions(n_new, start, mask, self.device)
        visible = causal_mask(n_new, start, mask, self.device)
        return weights.output(decode(weights, tokens, new_positions, state, visible)[:, positions]).float()

    def _prepare_weights(self, *, in_8bit: bool = False) -> GPT2Weights | None:
        if not has_plain_layers(self):
            return None
        return prepare_weights(
            embedding=self.embedding.weight,
            positions=self.positions.weight,
            blocks=[cast("PreNormBlock", block) for block in self.blocks],
            final_norm=self.final_norm,
            dtype=self.compute_dtype,
            in_8bit=in_8bit,
        )


def _build_block(config: GPT2Config) -> PreNormBlock:
    # The residual stream adds two terms per block: with this, its initial variance does not grow with the depth.
    output_std = INITIAL_STD / math.sqrt(2 * config.num_hidden_layers)
    attention = MultiHeadSelfAttention(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        dropout=config.dropout,
        output_std=output_std,
    )
    feed_forward = GELUFeedForward(
        hidden_size=config.hidden_size,
        intermediate_size=INTERMEDIATE_RATIO * config.hidden_size,
        approximate=True,
        output_std=output_std,
    )
    return PreNormBlock(attention, feed_forward, hidden_size=config.hidden_size, dropout=config.dropout)
