"""T5 exactly as published (Raffel et al. 2020), and version 1.1 of its weights."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from lmcore.config.published_models import T5Config
from lmcore.models.encoder_decoder_transformer import DecoderState, EncoderDecoderTransformer
from lmcore.models.layers.attention import causal_mask, check_context_length
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.layers.normalization import RMSNorm
from lmcore.models.t5.layers import RelativePositionBias, T5Attention, T5DecoderBlock, T5EncoderBlock
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class T5(EncoderDecoderTransformer):
    """An encoder-decoder with relative positions. Sources end with the end token; targets begin with padding.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary, for source and target.
    """

    config: T5Config

    def __init__(self, config: T5Config, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.embedding = nn.Embedding(vocabulary.size, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.encoder_bias = RelativePositionBias(config, is_bidirectional=True)
        self.encoder_blocks = nn.ModuleList(T5EncoderBlock(config) for _ in range(config.encoder_layers))
        self.encoder_norm = RMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.decoder_bias = RelativePositionBias(config, is_bidirectional=False)
        self.decoder_blocks = nn.ModuleList(T5DecoderBlock(config) for _ in range(config.decoder_layers))
        self.decoder_norm = RMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.head = (
            None if config.tie_word_embeddings else BiasFreeLinear(config.hidden_size, vocabulary.size, zero_init=True)
        )

    def framed(self, tokens: Sequence[int]) -> list[int]:
        """The tokens of a source and the end token."""
        return [*tokens, self.vocabulary.end_of_text_id]

    @property
    def decoder_start_id(self) -> int:
        """Padding precedes the first token of a target."""
        return self.vocabulary.padding_id

    @property
    def output_weight(self) -> Tensor:
        """Shape (vocabulary, hidden_size); its product with the decoder's output gives the logits."""
        return self.embedding.weight if self.head is None else self.head.weight

    @property
    def head_dim(self) -> int:
        """Features of an attention head."""
        return self.config.head_dim

    def source_attentions(self) -> Sequence[T5Attention]:
        """The attention to the source of each block of the decoder."""
        return [block.source_attention for block in self._decoder_blocks()]

    def encode_visible(self, source: Tensor, visible: Tensor | None, document_ids: Tensor | None = None) -> Tensor:
        """The encoder's normalized output, see :class:`EncoderDecoderTransformer`; positions are relative."""
        check_context_length(source.size(1), self.config.max_position_embeddings)
        positions = torch.arange(source.size(1), device=source.device)
        bias = self.encoder_bias(positions, positions, self.compute_dtype)
        stream = self._embed(source)
        for block in self.encoder_blocks:
            stream = self.run_block(block, stream, bias, visible=visible)
        normalized: Tensor = self.dropout(self.encoder_norm(stream))
        return normalized

    def decode_whole(
        self, tokens: Tensor, encoded: Tensor, visible_source: Tensor | None, document_ids: Tensor | None = None
    ) -> Tensor:
        """The decoder's output for whole targets, see :class:`EncoderDecoderTransformer`."""
        check_context_length(tokens.size(1), self.config.max_position_embeddings)
        positions = torch.arange(tokens.size(1), device=tokens.device)
        bias = self.decoder_bias(positions, positions, self.compute_dtype)
        visible = causal_mask(tokens.size(1), 0, None, self.device, document_ids)
        if visible is None:
            visible = positions <= positions.unsqueeze(1)
        stream = self._embed(tokens)
        for block in self._decoder_blocks():
            stream = self.run_block(block, stream, bias, encoded, visible=visible, visible_source=visible_source)
        return self._output(stream)

    def decode_after(self, tokens: Tensor, mask: Tensor | None, state: DecoderState) -> Tensor:
        """The decoder's output after ``state``, see :class:`EncoderDecoderTransformer`."""
        start, n_new = state.length, tokens.size(1)
        check_context_length(start + n_new, self.config.max_position_embeddings)
        positions = torch.arange(start, start + n_new, device=tokens.device)
        slots = state.target.slot_positions(n_new)
        bias = self.decoder_bias(positions, slots, self.compute_dtype)
        visible = causal_mask(n_new, start, mask, self.device)
        if visible is None and n_new > 1:
            visible = slots <= positions.unsqueeze(1)
        stream = self._embed(tokens)
        for layer, block in enumerate(self._decoder_blocks()):
            keys, values = state.source_keys[layer], state.source_values[layer]
            stream = block.attend_and_transform(
                stream, bias, keys, values, state.visible_source, visible=visible, cache=state.target, layer=layer
            )
        state.target.advance(n_new)
        return self._output(stream)

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.dropout(self.embedding(tokens).to(self.compute_dtype))
        return embedded

    def _output(self, stream: Tensor) -> Tensor:
        normalized: Tensor = self.dropout(self.decoder_norm(stream))
        return normalized * self.config.hidden_size**-0.5 if self.config.scale_decoder_outputs else normalized

    def _decoder_blocks(self) -> list[T5DecoderBlock]:
        return [cast("T5DecoderBlock", block) for block in self.decoder_blocks]
