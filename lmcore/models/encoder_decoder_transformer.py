"""What Transformers with an encoder and a decoder have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.layers.attention import padding_mask, same_document, starts_document
from lmcore.models.layers.functional import linear_cross_entropy
from lmcore.models.layers.key_value_cache import KeyValueCache, selects_all, split_rows
from lmcore.models.sequence_to_sequence import SequenceToSequenceModel
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


class SourceAttention(Protocol):
    """Attention of a target to a source."""

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (batch, heads, length, head_dim), of (batch, length, hidden_size)."""


class EncoderDecoderTransformer(SequenceToSequenceModel):
    """A model whose logits are a matrix product of the decoder's last hidden states.

    A subclass sets ``encoder_blocks`` and ``decoder_blocks`` and writes the abstract methods.
    """

    encoder_blocks: nn.ModuleList
    decoder_blocks: nn.ModuleList

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.max_position_embeddings = config.max_position_embeddings
        self.feature_size = config.hidden_size

    @property
    @abstractmethod
    def output_weight(self) -> Tensor:
        """Shape (vocabulary, hidden_size); its product with the decoder's output gives the logits."""

    @property
    @abstractmethod
    def head_dim(self) -> int:
        """Features of an attention head."""

    @abstractmethod
    def source_attentions(self) -> Sequence[SourceAttention]:
        """The attention to the source of each block of the decoder."""

    @abstractmethod
    def encode_visible(self, source: Tensor, visible: Tensor | None, document_ids: Tensor | None = None) -> Tensor:
        """The encoder's output (batch, length, hidden_size).

        Args:
            source: int64 of shape (batch, length).
            visible: bool of shape (batch, 1, 1 or length, length), true where a position may attend; None for all.
            document_ids: int64 of shape (batch, length), the documents that absolute positions start again with.

        Raises:
            UserError: the tokens exceed the context.
        """

    @abstractmethod
    def decode_whole(
        self, tokens: Tensor, encoded: Tensor, visible_source: Tensor | None, document_ids: Tensor | None = None
    ) -> Tensor:
        """The decoder's output (batch, length, hidden_size) for whole targets, computed at once.

        Args:
            tokens: what the decoder reads, int64 of shape (batch, length).
            encoded: the encoder's output for the sources.
            visible_source: bool of shape (batch, 1, 1 or length, source length), true where a position may attend; None
                for all.
            document_ids: int64 of shape (batch, length), the documents of the targets.

        Raises:
            UserError: the tokens exceed the context.
        """

    @abstractmethod
    def decode_after(self, tokens: Tensor, mask: Tensor | None, state: DecoderState) -> Tensor:
        """The decoder's output (batch, length, hidden_size) for tokens after ``state``; see :meth:`forward`."""

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """The encoder's output, shape (batch, length, hidden_size), see :class:`TextEncoder`.

        Raises:
            UserError: the tokens exceed the context.
        """
        return self.encode_visible(tokens, padding_mask(is_text))

    def encode(self, source: Tensor) -> Tensor:
        """The encoder's output, shape (batch, length, hidden_size).

        Args:
            source: int64 of shape (batch, length), right-padded with the padding token.
        """
        return self.encode_visible(source, self._source_mask(source))

    def new_state(self, source: Tensor) -> DecoderState:
        """The state before the first token of the targets, see :class:`SequenceToSequenceModel`."""
        encoded = self.encode(source)
        pairs = [attention.keys_and_values(encoded) for attention in self.source_attentions()]
        shape = (len(source), self.config.num_attention_heads, self.head_dim)
        return DecoderState(
            source_keys=[keys for keys, _ in pairs],
            source_values=[values for _, values in pairs],
            visible_source=self._source_mask(source),
            target=KeyValueCache(len(self.decoder_blocks), shape, self.compute_dtype, self.device),
        )

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: DecoderState) -> Tensor:
        """Next-token logits of targets, float32 of shape (batch, length, vocabulary).

        Args:
            tokens: int64 of shape (batch, length); targets begin with the decoder's start token.
            mask: bool of shape (batch, positions), false at left padding; positions are those in the state and the new
                ones. None if there is no padding.
            state: the sources and earlier positions; the model advances it.

        Raises:
            UserError: the tokens, with those in the state, exceed the context.
        """
        return self.output_logits(self.decode_after(tokens, mask, state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: DecoderState) -> Tensor:
        """Logits of the token after the last one, float32 of shape (batch, vocabulary); see :meth:`forward`."""
        return self.output_logits(self.decode_after(tokens, mask, state)[:, -1])

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of the decoder's output (..., hidden_size)."""
        return F.linear(hidden, self.output_weight.to(hidden.dtype)).float()

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
                shifted by one, after its start token.
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
        return linear_cross_entropy(hidden, self.output_weight, targets.flatten(), label_smoothing=label_smoothing)

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
        """The decoder's output (batch, length, hidden_size) for whole targets, computed at once.

        Args:
            source: int64 of shape (batch, source length), right-padded with the padding token.
            tokens: what the decoder reads, int64 of shape (batch, length), beginning with the decoder's start token.
            document_ids: as for :meth:`loss`.
            target_document_ids: as for :meth:`loss`.
        """
        if document_ids is None or target_document_ids is None:
            visible_in_source = visible_source = self._source_mask(source)
        else:
            visible_in_source = same_document(document_ids, document_ids)
            visible_source = same_document(target_document_ids, document_ids)
        encoded = self.encode_visible(source, visible_in_source, document_ids)
        return self.decode_whole(tokens, encoded, visible_source, target_document_ids)

    def flops_per_token(self) -> float:
        """The operations for one token of a source and one of its target, both as long as the context."""
        length = self.max_position_embeddings
        weights = count_matrix_weights(self.decoder_blocks) + self.output_weight.numel()
        # A target token attends to half of the target and to all of the source.
        attention = 3 * len(self.decoder_blocks) * self._attention_size * length
        return self.feature_flops_per_token(length) + 6.0 * (weights + attention)

    def feature_flops_per_token(self, length: int) -> float:
        """The operations of the encoder's blocks, in which every token attends to all others."""
        attention = 2 * len(self.encoder_blocks) * self._attention_size * length
        return 6.0 * (count_matrix_weights(self.encoder_blocks) + attention)

    @property
    def _attention_size(self) -> int:
        heads: int = self.config.num_attention_heads
        return heads * self.head_dim

    def _source_mask(self, source: Tensor) -> Tensor | None:
        return padding_mask(source != self.vocabulary.padding_id)

    def _shift_right(self, targets: Tensor, document_ids: Tensor | None = None) -> Tensor:
        """What the decoder reads to predict ``targets``: its start token, then all targets but the last, for each
        document."""
        first = targets.new_full((len(targets), 1), self.decoder_start_id)
        shifted = targets[:, :-1].masked_fill(targets[:, :-1] < 0, self.vocabulary.padding_id)
        tokens = torch.cat((first, shifted), dim=1)
        return (
            tokens if document_ids is None else tokens.masked_fill(starts_document(document_ids), self.decoder_start_id)
        )


def count_matrix_weights(blocks: nn.Module) -> int:
    """The number of weights in matrices."""
    return sum(parameter.numel() for parameter in blocks.parameters() if parameter.ndim == 2)
