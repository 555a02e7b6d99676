"""The encoder-decoder: reads a source sequence and writes a target sequence (Vaswani et al. 2017)."""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import EncoderDecoderConfig
from lmcore.models.generative import SequenceToSequenceModel
from lmcore.models.layers.attention import (
    causal_mask,
    check_context_length,
    padding_mask,
    same_document,
    starts_document,
    text_positions,
)
from lmcore.models.layers.functional import linear_cross_entropy
from lmcore.models.layers.key_value_cache import KeyValueCache, selects_all, split_rows
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


@dataclass
class DecoderState:
    """What the decoder keeps of the sources and of the targets written so far.

    Attributes:
        source_keys: per layer, shape (batch, heads, source length, head_dim).
        source_values: same shapes.
        visible_source: bool of shape (batch, 1, 1, source length), false at padding; None if there is no padding.
        target: keys and values of the targets.
    """

    source_keys: list[Tensor]
    source_values: list[Tensor]
    visible_source: Tensor | None
    target: KeyValueCache

    @property
    def length(self) -> int:
        """The number of target positions read so far."""
        return self.target.length

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index, see :meth:`KeyValueCache.select`."""
        texts, _ = split_rows(rows, self.target.n_continuations)
        if not selects_all(texts, len(self.source_keys[0])):
            self.source_keys = [keys[texts] for keys in self.source_keys]
            self.source_values = [values[texts] for values in self.source_values]
            if self.visible_source is not None:
                self.visible_source = self.visible_source[texts]
        self.target.select(rows)

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every target several continuations, see :meth:`KeyValueCache.fork`."""
        self.target.fork(n_continuations, is_text)


class EncoderDecoder(SequenceToSequenceModel):
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
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        self.source_positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.target_positions = embedding_table(config.max_position_embeddings, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder_blocks = nn.ModuleList(_build_encoder_block(config) for _ in range(config.encoder_layers))
        self.encoder_norm = LayerNorm(config.hidden_size)
        self.decoder_blocks = nn.ModuleList(CrossAttendingBlock(config) for _ in range(config.decoder_layers))
        self.decoder_norm = LayerNorm(config.hidden_size)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """The encoder's normalized output, shape (batch, length, hidden_size), see :class:`TextEncoder`.

        Raises:
            UserError: the tokens exceed the context.
        """
        return self._encode(tokens, padding_mask(is_text))

    def encode(self, source: Tensor) -> Tensor:
        """The encoder's normalized output, shape (batch, length, hidden_size).

        Args:
            source: int64 of shape (batch, length), right-padded with the padding token.
        """
        return self._encode(source, self._source_mask(source))

    def new_state(self, source: Tensor) -> DecoderState:
        """The state before the first token of the targets, see :class:`SequenceToSequenceModel`."""
        encoded, config = self.encode(source), self.config
        pairs = [block.source_attention.keys_and_values(encoded) for block in self._decoder_blocks()]
        shape = (len(source), config.num_attention_heads, config.hidden_size // config.num_attention_heads)
        return DecoderState(
            source_keys=[keys for keys, _ in pairs],
            source_values=[values for _, values in pairs],
            visible_source=self._source_mask(source),
            target=KeyValueCache(config.decoder_layers, shape, self.compute_dtype, self.device),
        )

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: DecoderState) -> Tensor:
        """Next-token logits of targets, float32 of shape (batch, length, vocabulary).

        Args:
            tokens: int64 of shape (batch, length); targets begin with the end token.
            mask: bool of shape (batch, positions), false at left padding; positions are those in the state and the new
                ones. None if there is no padding.
            state: the sources and earlier positions; the model advances it.

        Raises:
            UserError: the tokens, with those in the state, exceed the context.
        """
        return self.output_logits(self._decode(tokens, mask, state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: DecoderState) -> Tensor:
        """Logits of the token after the last one, float32 of shape (batch, vocabulary); see :meth:`forward`."""
        return self.output_logits(self._decode(tokens, mask, state)[:, -1])

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of the decoder's output (..., hidden_size)."""
        return F.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()

    def loss(
        self,
        tokens: Tensor,
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        document_ids: Tensor | None = None,
        target_document_ids: Tensor | None = None,
    ) -> Tensor:
        """Summed loss of whole targets, see :class:`TrainableModel`.

        Args:
            tokens: the sources, int64 of shape (batch, length), right-padded with the padding token.
            targets: int64 of shape (batch, longest target), right-padded with -100. The decoder reads the targets
                shifted by one, after an end token.
            label_smoothing: as for :class:`TrainableModel`.
            document_ids: int64 of shape (batch, length), the documents of the sources, see :class:`TrainableModel`;
                the encoder's and the decoder's positions both start again with each.
            target_document_ids: int64 of the shape of ``targets``, those of the targets, given with ``document_ids``.
        """
        hidden = self.target_hidden_states(
            tokens,
            self._shift_right(targets, target_document_ids),
            document_ids=document_ids,
            target_document_ids=target_document_ids,
        ).flatten(0, 1)
        return linear_cross_entropy(hidden, self.embedding.weight, targets.flatten(), label_smoothing=label_smoothing)

    def target_logits(self, source: Tensor, targets: Tensor) -> Tensor:
        """Logits of every token of whole targets, see :class:`SequenceToSequenceModel`."""
        return self.output_logits(self.target_hidden_states(source, self._shift_right(targets)))

    def target_hidden_states(
        self,
        source: Tensor,
        tokens: Tensor,
        *,
        document_ids: Tensor | None = None,
        target_document_ids: Tensor | None = None,
    ) -> Tensor:
        """The decoder's normalized output (batch, length, hidden_size) for whole targets, computed at once.

        Args:
            source: int64 of shape (batch, source length), right-padded with the padding token.
            tokens: what the decoder reads, int64 of shape (batch, length), beginning with the end token.
            document_ids: as for :meth:`loss`.
            target_document_ids: as for :meth:`loss`.
        """
        length = tokens.size(1)
        check_context_length(length, self.config.max_position_embeddings)
        if document_ids is None or target_document_ids is None:
            visible_in_source = visible_source = self._source_mask(source)
            visible = None
        else:
            visible_in_source = same_document(document_ids, document_ids)
            visible_source = same_document(target_document_ids, document_ids)
            visible = causal_mask(length, 0, None, self.device, target_document_ids)
        encoded = self._encode(source, visible_in_source, document_ids)
        positions = text_positions(length, 0, None, self.device, target_document_ids)
        stream = self._embed(tokens, self.target_positions(positions))
        for block in self._decoder_blocks():
            stream = self.run_block(block, stream, encoded, visible_source=visible_source, visible=visible)
        normalized: Tensor = self.decoder_norm(stream)
        return normalized

    def flops_per_token(self) -> float:
        """The operations for one token of a source and one of its target, both as long as the context."""
        config, length = self.config, self.config.max_position_embeddings
        weights = _count_matrix_weights(self.decoder_blocks) + self.embedding.weight.numel()
        # A target token attends to half of the target and to all of the source.
        attention = 3 * config.decoder_layers * config.hidden_size * length
        return self.feature_flops_per_token(length) + 6.0 * (weights + attention)

    def feature_flops_per_token(self, length: int) -> float:
        """The operations of the encoder's blocks, in which every token attends to all others."""
        attention = 2 * self.config.encoder_layers * self.config.hidden_size * length
        return 6.0 * (_count_matrix_weights(self.encoder_blocks) + attention)

    def _source_mask(self, source: Tensor) -> Tensor | None:
        return padding_mask(source != self.vocabulary.padding_id)

    def _encode(self, source: Tensor, visible: Tensor | None, document_ids: Tensor | None = None) -> Tensor:
        check_context_length(source.size(1), self.config.max_position_embeddings)
        positions = text_positions(source.size(1), 0, None, self.device, document_ids)
        stream = self._embed(source, self.source_positions(positions))
        for block in self.encoder_blocks:
            stream = self.run_block(block, stream, is_causal=False, visible=visible)
        normalized: Tensor = self.encoder_norm(stream)
        return normalized

    def _decode(self, tokens: Tensor, mask: Tensor | None, state: DecoderState) -> Tensor:
        """The decoder's normalized output (batch, length, hidden_size) for tokens after ``state``."""
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

    def _shift_right(self, targets: Tensor, document_ids: Tensor | None = None) -> Tensor:
        """What the decoder reads to predict ``targets``: the end token, then all targets but the last, for each
        document."""
        first = targets.new_full((len(targets), 1), self.vocabulary.end_of_text_id)
        shifted = targets[:, :-1].masked_fill(targets[:, :-1] < 0, self.vocabulary.padding_id)
        tokens = torch.cat((first, shifted), dim=1)
        if document_ids is None:
            return tokens
        return tokens.masked_fill(starts_document(document_ids), self.vocabulary.end_of_text_id)

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
        self.dropout = nn.Dropout(dropout)

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


def _count_matrix_weights(blocks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in blocks.parameters() if parameter.ndim == 2)
