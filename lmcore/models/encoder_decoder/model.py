"""The encoder-decoder: reads one sequence and writes another (Vaswani et al. 2017)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import EncoderDecoderConfig
from lmcore.models.causal import TextEncoder
from lmcore.models.cpu.fused import softcapped_cross_entropy
from lmcore.models.gradient_checkpointing import run_block
from lmcore.models.layers.classical import (
    INITIAL_DEVIATION,
    GELUFeedForward,
    LayerNorm,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PreNormBlock,
    causally_visible,
    check_context,
    embedding_table,
    text_positions,
    visible_text,
)
from lmcore.models.layers.key_value_cache import KeyValueCache, is_everything, texts_of
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


@dataclass
class ConditionalState:
    """What a decoder keeps: what it has read of the source, and what it has written so far.

    Attributes:
        source_keys: per layer, (batch, heads, source length, head_dim).
        source_values: likewise.
        visible_source: boolean (batch, 1, 1, source length), false where a source is filled up; None where none is.
        written: of the positions of the target.
    """

    source_keys: list[Tensor]
    source_values: list[Tensor]
    visible_source: Tensor | None
    written: KeyValueCache

    @property
    def length(self) -> int:
        """How many positions of the target it has seen."""
        return self.written.length

    def select(self, rows: Tensor) -> None:
        """Select rows of the batch by index (int64, any order, repeats allowed)."""
        texts, _ = texts_of(rows, self.written.n_continuations)
        if not is_everything(texts, len(self.source_keys[0])):
            self.source_keys = [keys[texts] for keys in self.source_keys]
            self.source_values = [values[texts] for values in self.source_values]
            if self.visible_source is not None:
                self.visible_source = self.visible_source[texts]
        self.written.select(rows)

    def fork(self, n_continuations: int, is_text: Tensor | None = None) -> None:
        """Give every target so many continuations, see :meth:`KeyValueCache.fork`."""
        self.written.fork(n_continuations, is_text)


class EncoderDecoder(TextEncoder):
    """A Transformer whose decoder attends to what its encoder made of a source.

    One table gives the embeddings of source and target and, turned, the logits (Press & Wolf 2017); positions are
    learned, those of the source apart from those of the target. The weights are float32; ``compute_dtype`` (float32
    unless set) is what the activations are computed in.

    Args:
        config: its shape.
        vocabulary: of the tokens of source and target.
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
        self.encoder_blocks = nn.ModuleList(
            _pre_norm_block(config, config.encoder_layers) for _ in range(config.encoder_layers)
        )
        self.encoder_norm = LayerNorm(config.hidden_size)
        self.decoder_blocks = nn.ModuleList(CrossAttendingBlock(config) for _ in range(config.decoder_layers))
        self.decoder_norm = LayerNorm(config.hidden_size)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """The encoder's normalized output (batch, length, hidden_size), see :class:`TextEncoder`.

        Raises:
            ValueError: if the tokens are more than the context holds.
        """
        return self._read(tokens, visible_text(is_text))

    def encode(self, source: Tensor) -> Tensor:
        """What the encoder makes of a source, (batch, length, hidden_size).

        Args:
            source: int64 (batch, length), filled up on the right with the padding token.
        """
        return self.features(source, self._is_text(source))

    def new_state(self, source: Tensor) -> ConditionalState:
        """The state before the first token of the targets of ``source``, which is as for :meth:`encode`."""
        encoded, config = self.encode(source), self.config
        pairs = [block.source_attention.keys_and_values(encoded) for block in self._decoder()]
        shape = (len(source), config.num_attention_heads, config.hidden_size // config.num_attention_heads)
        return ConditionalState(
            source_keys=[keys for keys, _ in pairs],
            source_values=[values for _, values in pairs],
            visible_source=visible_text(self._is_text(source)),
            written=KeyValueCache(config.decoder_layers, shape, self.compute_dtype, self.device),
        )

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ConditionalState) -> Tensor:
        """Next-token logits of targets, float32 (batch, length, vocabulary).

        Args:
            tokens: int64 (batch, length) of the targets, which begin with the end token.
            mask: boolean (batch, positions), false where a target's beginning is filled up on the left; positions are
                those in the state and the new ones. None where nothing is.
            state: of the sources and the positions before these; moved on by these.

        Raises:
            ValueError: if the tokens, with those in the state, are more than the context holds.
        """
        return self.output_logits(self._write(tokens, mask, state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: ConditionalState) -> Tensor:
        """The logits behind the last token alone, float32 (batch, vocabulary); arguments as for :meth:`forward`."""
        return self.output_logits(self._write(tokens, mask, state)[:, -1])

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of the decoder's output (..., hidden_size)."""
        return F.linear(hidden, self.embedding.weight.to(hidden.dtype)).float()

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed loss of whole targets, see :class:`TrainableModel`.

        Args:
            tokens: the sources, int64 (batch, length), filled up on the right with the padding token.
            targets: int64 (batch, length of the longest), filled up on the right with -100. The decoder sees each
                token's predecessors behind an end token.
            label_smoothing: as ever.
        """
        hidden = self.target_hidden(tokens, self.shifted(targets)).flatten(0, 1)
        weight = self.embedding.weight
        return softcapped_cross_entropy(hidden, weight, targets.flatten(), None, label_smoothing=label_smoothing)

    def shifted(self, targets: Tensor) -> Tensor:
        """What the decoder reads when it is to write ``targets``: the end token, and all of them but the last."""
        first = targets.new_full((len(targets), 1), self.vocabulary.end_of_text_id)
        return torch.cat((first, targets[:, :-1].masked_fill(targets[:, :-1] < 0, self.vocabulary.padding_id)), dim=1)

    def target_hidden(self, source: Tensor, tokens: Tensor) -> Tensor:
        """The decoder's normalized output (batch, length, hidden_size) for whole targets, computed at once.

        Args:
            source: int64 (batch, source length), filled up on the right.
            tokens: int64 (batch, length), as :meth:`shifted` gives them.
        """
        check_context(tokens.size(1), self.config.max_position_embeddings)
        visible_source = visible_text(self._is_text(source))
        encoded = self._read(source, visible_source)
        stream = self._embed(tokens, self.target_positions.weight[: tokens.size(1)])
        for block in self._decoder():
            stream = run_block(self, block, stream, encoded, visible_source=visible_source)
        normalized: Tensor = self.decoder_norm(stream)
        return normalized

    def flops_per_token(self) -> float:
        """Those of one token of a source and one of its target, both as long as the context."""
        config, length = self.config, self.config.max_position_embeddings
        weights = _count_matrix_weights(self.decoder_blocks) + self.embedding.weight.numel()
        # A target's token attends to half of the target and to all of the source.
        attention = 3 * config.decoder_layers * config.hidden_size * length
        return self.feature_flops_per_token(length) + 6.0 * (weights + attention)

    def feature_flops_per_token(self, length: int) -> float:
        """Those of the encoder's blocks, in which every token attends to all others, see :class:`TextEncoder`."""
        attention = 2 * self.config.encoder_layers * self.config.hidden_size * length
        return 6.0 * (_count_matrix_weights(self.encoder_blocks) + attention)

    def _is_text(self, source: Tensor) -> Tensor:
        return source != self.vocabulary.padding_id

    def _read(self, source: Tensor, visible: Tensor | None) -> Tensor:
        check_context(source.size(1), self.config.max_position_embeddings)
        stream = self._embed(source, self.source_positions.weight[: source.size(1)])
        for block in self.encoder_blocks:
            stream = run_block(self, block, stream, is_causal=False, visible=visible)
        normalized: Tensor = self.encoder_norm(stream)
        return normalized

    def _write(self, tokens: Tensor, mask: Tensor | None, state: ConditionalState) -> Tensor:
        start, n_new = state.length, tokens.size(1)
        check_context(start + n_new, self.config.max_position_embeddings)
        positions = self.target_positions(text_positions(n_new, start, mask, self.device))
        visible = causally_visible(n_new, start, mask, self.device)
        stream = self._embed(tokens, positions)
        for layer, block in enumerate(self._decoder()):
            keys, values = state.source_keys[layer], state.source_values[layer]
            stream = block.attend_and_transform(
                stream, keys, values, state.visible_source, visible=visible, cache=state.written, layer=layer
            )
        state.written.advance(n_new)
        normalized: Tensor = self.decoder_norm(stream)
        return normalized

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        embedded: Tensor = self.dropout((self.embedding(tokens) + positions).to(self.compute_dtype))
        return embedded

    def _decoder(self) -> "list[CrossAttendingBlock]":
        return [block for block in self.decoder_blocks if isinstance(block, CrossAttendingBlock)]


class CrossAttendingBlock(nn.Module):
    """Attention to what was written, attention to the source and feed-forward, each normalized on the way in and
    added to the residual stream."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        deviation = INITIAL_DEVIATION / math.sqrt(3 * config.decoder_layers)
        hidden_size, num_attention_heads, dropout = config.hidden_size, config.num_attention_heads, config.dropout
        self.attention_norm = LayerNorm(hidden_size)
        self.attention = MultiHeadSelfAttention(
            hidden_size=hidden_size,
            num_attention_heads=num_attention_heads,
            dropout=dropout,
            output_deviation=deviation,
        )
        self.source_norm = LayerNorm(hidden_size)
        self.source_attention = MultiHeadCrossAttention(
            hidden_size=hidden_size,
            num_attention_heads=num_attention_heads,
            dropout=dropout,
            output_deviation=deviation,
        )
        self.feed_forward_norm = LayerNorm(hidden_size)
        self.feed_forward = _feed_forward(config, deviation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, encoded: Tensor, *, visible_source: Tensor | None = None) -> Tensor:
        """Map a whole target (batch, length, hidden_size), given its source (batch, source length, hidden_size)."""
        keys, values = self.source_attention.keys_and_values(encoded)
        return self.attend_and_transform(hidden, keys, values, visible_source)

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
        """(batch, length, hidden_size) to the same, with the source's keys and values (batch, heads, source length,
        head_dim); the rest as for :class:`MultiHeadSelfAttention`."""
        attended = self.attention(
            self.attention_norm(hidden), is_causal=True, visible=visible, cache=cache, layer=layer
        )
        hidden = hidden + self.dropout(attended)
        attended = self.source_attention(self.source_norm(hidden), source_keys, source_values, visible=visible_source)
        hidden = hidden + self.dropout(attended)
        result: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return result


def _pre_norm_block(config: EncoderDecoderConfig, num_hidden_layers: int) -> PreNormBlock:
    deviation = INITIAL_DEVIATION / math.sqrt(2 * num_hidden_layers)
    attention = MultiHeadSelfAttention(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        dropout=config.dropout,
        output_deviation=deviation,
    )
    return PreNormBlock(
        attention, _feed_forward(config, deviation), hidden_size=config.hidden_size, dropout=config.dropout
    )


def _feed_forward(config: EncoderDecoderConfig, output_deviation: float) -> GELUFeedForward:
    return GELUFeedForward(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        approximate=False,
        output_deviation=output_deviation,
    )


def _count_matrix_weights(blocks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in blocks.parameters() if parameter.ndim == 2)
