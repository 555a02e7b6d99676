"""Llama exactly as published (Touvron et al. 2023), with the variations of Mistral, Qwen2 and Qwen3."""

from torch import Tensor, nn

from lmcore.config.published_models import LlamaConfig
from lmcore.models.causal_transformer import CausalTransformer
from lmcore.models.layers.attention import causal_mask, check_context_length
from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.layers.normalization import RMSNorm
from lmcore.models.layers.rotary import RotaryPositions
from lmcore.models.layers.transformer import embedding_table
from lmcore.models.llama.layers import LlamaBlock
from lmcore.models.state import ModelState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class Llama(CausalTransformer):
    """A decoder-only Transformer with rotary positions, gated feed-forward layers and root-mean-square normalization.

    Args:
        config: the model's shape.
        vocabulary: the tokenizer's vocabulary.
    """

    config: LlamaConfig

    def __init__(self, config: LlamaConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.embedding = embedding_table(vocabulary.size, config.hidden_size)
        rotary = RotaryPositions(
            config.head_dim,
            config.max_position_embeddings,
            rope_theta=config.rope_theta,
            rope_scaling=config.rope_scaling,
        )
        self.blocks = nn.ModuleList(LlamaBlock(config, rotary) for _ in range(config.num_hidden_layers))
        self.final_norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
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
        """The normalized output of the last block, see :class:`CausalTransformer`.

        Rotary attention depends only on distances: positions count padding too, and need not start again with each
        document.
        """
        cache = state if isinstance(state, KeyValueCache) else None
        start, n_new = cache.length if cache else 0, tokens.size(1)
        check_context_length(start + n_new, self.config.max_position_embeddings)
        visible = causal_mask(n_new, start, mask, self.device, document_ids)
        stream = self.embedding(tokens).to(self.compute_dtype)
        for layer, block in enumerate(self.blocks):
            stream = self.run_block(block, stream, visible=visible, cache=cache, layer=layer)
        if cache:
            cache.advance(n_new)
        normalized: Tensor = self.final_norm(stream)
        return normalized

    def new_state(self, batch_size: int) -> KeyValueCache:
        """An empty cache of keys and values for ``batch_size`` sequences."""
        shape = (batch_size, self.config.num_key_value_heads, self.config.head_dim)
        return KeyValueCache(self.config.num_hidden_layers, shape, self.compute_dtype, self.device)

    @property
    def output_weight(self) -> Tensor:
        """Shape (vocabulary, hidden_size); its product with a hidden state gives the logits."""
        return self.embedding.weight if self.head is None else self.head.weight

    @property
    def attention_size(self) -> int:
        """The size of the queries of a block, all heads together."""
        return self.config.num_attention_heads * self.config.head_dim
