"""GPT: a causal Transformer that predicts each token from those before it."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import GPTConfig
from lmcore.models.causal_transformer import CausalTransformer
from lmcore.models.cpu.gpt_decoding import GPTWeights, decode, output_logits
from lmcore.models.gpt.decoding import has_plain_layers, prepare_weights
from lmcore.models.gpt.layers import (
    DecoderBlock,
    RotaryEmbedding,
    SelfAttention,
    TokenShift,
    ValueEmbedding,
)
from lmcore.models.gpt.ngram_heads import NgramHeads
from lmcore.models.gpt.state import GPTState
from lmcore.models.layers.attention import causal_mask, check_context_length
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.feed_forward import FeedForward
from lmcore.models.layers.functional import linear_cross_entropy, normalize
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.state import ModelState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class GPT(CausalTransformer):
    """A decoder-only Transformer language model.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary.
    """

    config: GPTConfig

    def __init__(self, config: GPTConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.embedding = nn.Embedding(vocabulary.size, config.hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self._in_8bit: GPTWeights | None = None
        self.token_shift = TokenShift(config.hidden_size) if config.use_token_shift else None
        order = config.ngram_head_order
        self.ngram_heads = NgramHeads(config.hidden_size, order) if order else None
        self.dropout = Dropout(config.dropout)
        head_dim = config.hidden_size // config.num_attention_heads
        rotary = RotaryEmbedding(head_dim, config.max_position_embeddings, config.rope_theta)
        self.blocks = nn.ModuleList(_build_block(config, rotary) for _ in range(config.num_hidden_layers))
        n_value_embeddings = config.num_hidden_layers if config.use_value_embeddings else 0
        self.value_embeddings = nn.ModuleList(
            ValueEmbedding(vocabulary.size, head_dim * config.num_key_value_heads) for _ in range(n_value_embeddings)
        )
        self.head = (
            None if config.tie_word_embeddings else BiasFreeLinear(config.hidden_size, vocabulary.size, zero_init=True)
        )

    def hidden_states(
        self,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        state: ModelState | None = None,
        document_ids: Tensor | None = None,
    ) -> Tensor:
        """The normalized output of the last block, shape (batch, length, hidden_size); see :meth:`forward`.

        With ``document_ids``, see :meth:`TrainableModel.loss`, there is neither a mask nor a state. Rotary positions
        are relative, so they need not restart with each document.
        """
        state = state if isinstance(state, GPTState) else None
        start, n_new = state.length if state else 0, tokens.size(1)
        check_context_length(start + n_new, self.config.max_position_embeddings)
        visible = causal_mask(n_new, start, mask, self.device, document_ids)
        embedded = normalize(self.embedding(tokens).to(self.compute_dtype))
        if self.token_shift is not None:
            embedded = self.token_shift(embedded, mask=mask, state=state, document_ids=document_ids)
        found = None
        if self.ngram_heads is not None:
            read = tokens if state is None else state.with_new(tokens)
            found = self.ngram_heads(self.embedding, read, n_new, visible, self.compute_dtype)
            embedded = embedded + found.for_input
        stream = embedded = self.dropout(embedded)
        for layer, block in enumerate(self.blocks):
            value_embedding = self.value_embeddings[layer](tokens, stream.dtype) if self.value_embeddings else None
            stream = self.run_block(
                block, stream, embedded, value_embedding=value_embedding, visible=visible, state=state, layer=layer
            )
        if state:
            state.advance(n_new)
        output = normalize(stream)
        result: Tensor = self.dropout(output if found is None else output + found.for_output)
        return result

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self._logits(tokens, mask, state, slice(None))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Logits of the token after the last one, see :class:`CausalModel`."""
        return self._logits(tokens, mask, state, slice(-1, None)).squeeze(1)

    def decoding_weights(self, state: GPTState) -> GPTWeights | None:
        """The weights in the form for reading tokens after ``state``; prepared again if they have changed.

        None if the layers themselves have to be called: in training, outside of inference mode, or with adapters.
        """
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
        return self.takes_drafts and self._in_8bit is None

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., hidden_size)."""
        logits = F.linear(hidden, self.output_weight.to(hidden.dtype)).float()
        cap = self.config.final_logit_softcapping
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed loss of next tokens (batch, length), see :class:`TrainableModel`."""
        return linear_cross_entropy(
            self.hidden_states(tokens, document_ids=document_ids).flatten(0, 1),
            self.output_weight,
            targets.flatten(),
            cap=self.config.final_logit_softcapping,
            label_smoothing=label_smoothing,
        )

    @property
    def attention_size(self) -> int:
        """The size of the queries of a block, all heads together."""
        return self.config.hidden_size

    def new_state(self, batch_size: int) -> GPTState:
        """An empty cache of keys and values for ``batch_size`` sequences."""
        config = self.config
        shape = (batch_size, config.num_key_value_heads, config.hidden_size // config.num_attention_heads)
        return GPTState(config.num_hidden_layers, shape, self.compute_dtype, self.device)

    @property
    def output_weight(self) -> Tensor:
        """Shape (vocabulary, hidden_size); its product with a hidden state gives the logits."""
        return self.embedding.weight if self.head is None else self.head.weight

    def store_in_8bit(self) -> bool:
        """Compute with 8-bit weights from now on, see :class:`EightBitModel`."""
        self._in_8bit = self._prepare_weights(in_8bit=True)
        return self._in_8bit is not None

    def _logits(self, tokens: Tensor, mask: Tensor | None, state: ModelState | None, positions: slice) -> Tensor:
        """The logits of some of the new positions."""
        if state is None and self._in_8bit is not None:
            state = self.new_state(len(tokens))
        if not isinstance(state, GPTState) or (weights := self.decoding_weights(state)) is None:
            return self.output_logits(self.hidden_states(tokens, mask=mask, state=state)[:, positions])
        n_new = tokens.size(1)
        check_context_length(state.length + n_new, self.config.max_position_embeddings)
        if n_new == 1:
            visible = None if mask is None else mask[:, None, None]
        else:
            visible = causal_mask(n_new, state.length, mask, self.device)
        return output_logits(weights, decode(weights, tokens, state, visible, mask)[:, positions])

    def _prepare_weights(self, *, in_8bit: bool = False) -> GPTWeights | None:
        if not has_plain_layers(self):
            return None
        return prepare_weights(
            self.config,
            embedding=self.embedding,
            token_shift=self.token_shift,
            ngram_heads=self.ngram_heads,
            blocks=[cast("DecoderBlock", block) for block in self.blocks],
            value_embeddings=[cast("ValueEmbedding", table) for table in self.value_embeddings],
            output_weight=self.output_weight,
            dtype=self.compute_dtype,
            in_8bit=in_8bit,
        )


def _build_block(config: GPTConfig, rotary: RotaryEmbedding) -> DecoderBlock:
    attention = SelfAttention(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        rotary=rotary,
    )
    feed_forward = FeedForward(
        hidden_size=config.hidden_size, intermediate_size=config.intermediate_size, hidden_act=config.hidden_act
    )
    return DecoderBlock(attention, feed_forward, dropout=config.dropout, use_mixing=config.use_residual_mixing)
