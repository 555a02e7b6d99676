"""The encoder-decoder: reads a source sequence and writes a target sequence (Vaswani et al. 2017)."""

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from lmcore.config.models import EncoderDecoderConfig
from lmcore.models.encoder_decoder_transformer import DecoderState, EncoderDecoderTransformer
from lmcore.models.layers.attention import causal_mask, check_context_length, text_positions
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.linear import INITIAL_STD
from lmcore.models.layers.transformer import (
    GELUFeedForward,
    LayerNorm,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PreNormBlock,
    embedding_table,
)
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class EncoderDecoder(EncoderDecoderTransformer):
    """A Transformer whose decoder attends to the encoder's output for a source.

    One table holds the embeddings of source and target and the output weights (Press & Wolf 2017). Positions are
    learned, separately for source and target.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary, for source and target.
    """

    config: EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        self.source_positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.target_positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.encoder_blocks = nn.ModuleList(_build_encoder_block(config) for _ in range(config.encoder_layers))
        self.encoder_norm = LayerNorm(config.hidden_size)
        self.decoder_blocks = nn.ModuleList(CrossAttendingBlock(config) for _ in range(config.decoder_layers))
        self.decoder_norm = LayerNorm(config.hidden_size)

    @property
    def output_weight(self) -> Tensor:
        """Those of the embedding, shape (vocabulary, hidden_size)."""
        return self.embedding.weight

    @property
    def head_dim(self) -> int:
        """Features of an attention head."""
        return self.config.hidden_size // self.config.num_attention_heads

    def source_attentions(self) -> Sequence[MultiHeadCrossAttention]:
        """The attention to the source of each block of the decoder."""
        return [block.source_attention for block in self._decoder_blocks()]

    def encode_visible(self, source: Tensor, visible: Tensor | None, document_ids: Tensor | None = None) -> Tensor:
        """The encoder's normalized output, see :class:`EncoderDecoderTransformer`."""
        check_context_length(source.size(1), self.config.max_position_embeddings)
        positions = text_positions(source.size(1), 0, None, self.device, document_ids)
        stream = self._embed(source, self.source_positions(positions))
        for block in self.encoder_blocks:
            stream = self.run_block(block, stream, is_causal=False, visible=visible)
        normalized: Tensor = self.encoder_norm(stream)
        return normalized

    def decode_whole(
        self, tokens: Tensor, encoded: Tensor, visible_source: Tensor | None, document_ids: Tensor | None = None
    ) -> Tensor:
        """The decoder's normalized output for whole targets, see :class:`EncoderDecoderTransformer`."""
        length = tokens.size(1)
        check_context_length(length, self.config.max_position_embeddings)
        positions = text_positions(length, 0, None, self.device, document_ids)
        visible = causal_mask(length, 0, None, self.device, document_ids)
        stream = self._embed(tokens, self.target_positions(positions))
        for block in self._decoder_blocks():
            stream = self.run_block(block, stream, encoded, visible_source=visible_source, visible=visible)
        normalized: Tensor = self.decoder_norm(stream)
        return normalized

    def decode_after(self, tokens: Tensor, mask: Tensor | None, state: DecoderState) -> Tensor:
        """The decoder's normalized output after ``state``, see :class:`EncoderDecoderTransformer`."""
        start, n_new = state.length, tokens.size(1)
        check_context_length(start + n_new, self.config.max_position_embeddings)
        positions = self.target_positions(text_positions(n_new, start, mask, self.device))
        visible = causal_mask(n_new, start, mask, self.device)
        stream = self._embed(tokens, positions)
        for layer, block in enumerate(self._decoder_blocks()):
            keys, values = state.source_keys[layer], state.source_values[layer]
            stream = block.attend_and_transform(
                stream, keys, values, state.visible_source, visible=visible, cache=state.target, layer=layer
            )
        state.target.advance(n_new)
        normalized: Tensor = self.decoder_norm(stream)
        return normalized

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        embedded: Tensor = self.dropout((self.embedding(tokens) + positions).to(self.compute_dtype))
        return embedded

    def _decoder_blocks(self) -> "list[CrossAttendingBlock]":
        return [cast("CrossAttendingBlock", block) for block in self.decoder_blocks]


class CrossAttendingBlock(nn.Module):
    """Attention to the target, attention to the source, and feed-forward, each with a normalized input and added to
    the residual stream."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        output_std = INITIAL_STD / math.sqrt(3 * config.decoder_layers)
        hidden_size, num_attention_heads, dropout = config.hidden_size, config.num_attention_heads, config.dropout
        self.attention_norm = LayerNorm(hidden_size)
        self.attention = MultiHeadSelfAttention(
            hidden_size=hidden_size, num_attention_heads=num_attention_heads, dropout=dropout, output_std=output_std
        )
        self.source_norm = LayerNorm(hidden_size)
        self.source_attention = MultiHeadCrossAttention(
            hidden_size=hidden_size, num_attention_heads=num_attention_heads, dropout=dropout, output_std=output_std
        )
        self.feed_forward_norm = LayerNorm(hidden_size)
        self.feed_forward = _build_feed_forward(config, output_std)
        self.dropout = Dropout(dropout)

    def forward(
        self, hidden: Tensor, encoded: Tensor, *, visible_source: Tensor | None = None, visible: Tensor | None = None
    ) -> Tensor:
        """Map whole targets (batch, length, hidden_size), given sources (batch, source length, hidden_size)."""
        keys, values = self.source_attention.keys_and_values(encoded)
        return self.attend_and_transform(hidden, keys, values, visible_source, visible=visible)

    def attend_and_transform(
        self,
        hidden: Tensor,
        source_keys: Tensor,
        source_values: Tensor,
        visible_source: Tensor | None,
        *,
        visible: Tensor | None = None,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape, with the source's keys and values (batch, heads, source
        length, head_dim); the other arguments are those of :class:`MultiHeadSelfAttention`."""
        attended = self.attention(
            self.attention_norm(hidden), is_causal=True, visible=visible, cache=cache, layer=layer
        )
        hidden = hidden + self.dropout(attended)
        attended = self.source_attention(self.source_norm(hidden), source_keys, source_values, visible=visible_source)
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return result


def _build_encoder_block(config: EncoderDecoderConfig) -> PreNormBlock:
    output_std = INITIAL_STD / math.sqrt(2 * config.encoder_layers)
    attention = MultiHeadSelfAttention(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        dropout=config.dropout,
        output_std=output_std,
    )
    feed_forward = _build_feed_forward(config, output_std)
    return PreNormBlock(attention, feed_forward, hidden_size=config.hidden_size, dropout=config.dropout)


def _build_feed_forward(config: EncoderDecoderConfig, output_std: float) -> GELUFeedForward:
    return GELUFeedForward(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        approximate=False,
        output_std=output_std,
    )
