"""A GPT trained with lmcore, for ``transformers``.

Load it with ``AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)``.

A causal Transformer with rotary positions, normalized queries and keys, and normalization without weights. Depending on
its configuration it also has value embeddings, token shift, n-gram heads, residual mixing, and a soft cap of logits.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class LmcoreGPTConfig(PreTrainedConfig):
    """The shape of the model; names as in Llama, where the same thing exists."""

    model_type = "lmcore-gpt"

    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 8
    num_key_value_heads: int = 8
    intermediate_size: int = 1024
    hidden_act: str = "relu2"
    max_position_embeddings: int = 256
    dropout: float = 0.0
    tie_word_embeddings: bool = True
    use_residual_mixing: bool = False
    use_value_embeddings: bool = False
    use_token_shift: bool = False
    ngram_head_order: int = 0
    final_logit_softcapping: float | None = None
    rope_theta: float = 10_000.0
    vocab_size: int = 8192
    use_cache: bool = True


def normalize(hidden: Tensor) -> Tensor:
    """Scale the last dimension to a root mean square of one."""
    return F.rms_norm(hidden, (hidden.size(-1),), eps=1e-12)


class TokenShift(nn.Module):
    """Adds to each token's embedding a learned fraction of the previous one."""

    def __init__(self, config: LmcoreGPTConfig) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(config.hidden_size))

    def forward(self, embedded: Tensor, previous: Tensor) -> Tensor:
        """Both have shape (batch, length, hidden_size); ``previous`` is the embedding before each position."""
        return torch.addcmul(embedded, previous, self.share)


class NgramHeads(nn.Module):
    """Factors of the embedding of the token that followed the last occurrence of the latest tokens."""

    def __init__(self, config: LmcoreGPTConfig) -> None:
        super().__init__()
        self.order = config.ngram_head_order
        self.input_scales = nn.Embedding(self.order + 1, config.hidden_size)
        self.output_scales = nn.Embedding(self.order + 1, config.hidden_size)

    def forward(self, embedding: nn.Embedding, tokens: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to the input and the output, (batch, new positions, hidden_size).

        ``tokens`` has shape (batch, positions), and ``visible`` (batch, 1, new positions, positions).
        """
        following, lengths = self.find(tokens, visible[:, 0])
        copied = normalize(embedding(following)).masked_fill((lengths == 0).unsqueeze(-1), 0.0)
        return copied * self.input_scales(lengths), copied * self.output_scales(lengths)

    def find(self, tokens: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens that followed, and the length of the match (0: none), both (batch, new positions)."""
        n_new, n_positions = visible.shape[1:]
        positions = torch.arange(n_positions, device=tokens.device)
        same = positions < positions[n_positions - n_new :, None]
        latest, earlier = (F.pad(tokens, (self.order - 1, 0), value=value) for value in (-1, -2))
        lengths = torch.zeros(1, dtype=torch.int64, device=tokens.device)
        for back in range(self.order):
            first = self.order - 1 - back
            query = latest[:, first + n_positions - n_new : first + n_positions]
            same = same & (query.unsqueeze(2) == earlier[:, first : first + n_positions].unsqueeze(1))
            same = same & F.pad(visible, (back, 0))[..., :n_positions]
            lengths = lengths + same
        best = (lengths * n_positions + positions).amax(dim=2)
        following = (best % n_positions + 1).clamp_max(n_positions - 1)
        return tokens.gather(1, following), best // n_positions


class ValueEmbedding(nn.Module):
    """A table of token embeddings that is added to the attention values of a layer."""

    def __init__(self, config: LmcoreGPTConfig) -> None:
        super().__init__()
        head_dim = config.hidden_size // config.num_attention_heads
        self.table = nn.Embedding(config.vocab_size, config.num_key_value_heads * head_dim)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, length) to (batch, length, key-value heads * head_dim)."""
        return normalize(self.table(tokens)) * self.weight


class Attention(nn.Module):
    """Self-attention with rotary positions; groups of query heads share keys and values."""

    def __init__(self, config: LmcoreGPTConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.group_size = config.num_attention_heads // config.num_key_value_heads
        key_size = config.num_key_value_heads * self.head_dim
        self.query = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.key = nn.Linear(config.hidden_size, key_size, bias=False)
        self.value = nn.Linear(config.hidden_size, key_size, bias=False)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self, hidden: Tensor, rotation: tuple[Tensor, Tensor], visible: Tensor, values: Tensor | None, cache: Any
    ) -> Tensor:
        """Map the normalized (batch, length, hidden_size) to the same shape; ``values`` are value embeddings."""
        query = rotate(normalize(self.split_heads(self.query(hidden))), rotation)
        key = rotate(normalize(self.split_heads(self.key(hidden))), rotation)
        value = self.split_heads(self.value(hidden) if values is None else self.value(hidden) + values)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        key, value = (part.repeat_interleave(self.group_size, dim=1) for part in (key, value))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.output(attended.transpose(1, 2).flatten(2))

    def split_heads(self, features: Tensor) -> Tensor:
        """Map (batch, length, heads * head_dim) to (batch, heads, length, head_dim)."""
        return features.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


def rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate pairs of features (batch, heads, length, head_dim) by the angles of their positions."""
    cosine, sine = rotation
    first, second = heads.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class FeedForward(nn.Module):
    """Two linear layers with a squared ReLU or a gate between them."""

    def __init__(self, config: LmcoreGPTConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        is_gated = config.hidden_act == "swiglu"
        self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=False) if is_gated else None
        self.output = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape."""
        expanded = self.input(hidden)
        return self.output(F.relu(expanded).square() if self.gate is None else F.silu(self.gate(hidden)) * expanded)


class Block(nn.Module):
    """Attention and feed-forward; with residual mixing, the stream is first mixed with the embeddings."""

    def __init__(self, config: LmcoreGPTConfig, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)
        self.mixing = nn.Parameter(torch.tensor([1.0, 0.0])) if config.use_residual_mixing else None

    def forward(
        self,
        hidden: Tensor,
        embedded: Tensor,
        rotation: tuple[Tensor, Tensor],
        visible: Tensor,
        values: Tensor | None,
        cache: Any,
    ) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape; ``embedded`` is the input of the first block."""
        if self.mixing is not None:
            hidden = self.mixing[0] * hidden + self.mixing[1] * embedded
        hidden = hidden + self.dropout(self.attention(normalize(hidden), rotation, visible, values, cache))
        return hidden + self.dropout(self.feed_forward(normalize(hidden)))


class TokenCache:
    """Stores tokens and their embeddings, which n-gram heads and token shift need, in a cache of keys and values, as
    one more layer.

    So they follow whatever generation does with the cache: they are reordered, repeated and cropped with it.
    """

    def __init__(self, cache: Any, layer: int) -> None:
        self.cache, self.layer = cache, layer
        if len(cache.layers) == layer:
            cache.layers.append(type(cache.layers[0])())

    def append(self, embedded: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Append embeddings (batch, length, hidden_size) and tokens (batch, length); returns those of all positions."""
        # Float32 holds the number of any token exactly.
        numbers = tokens.float()[:, None, :, None]
        all_embedded, all_numbers = self.cache.update(embedded.unsqueeze(1), numbers, self.layer)
        return all_embedded.squeeze(1), all_numbers[:, 0, :, 0].to(tokens.dtype)


class LmcoreGPTForCausalLM(PreTrainedModel, GenerationMixin):
    """The language model."""

    config_class = LmcoreGPTConfig
    _supports_sdpa = True

    def __init__(self, config: LmcoreGPTConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_shift = TokenShift(config) if config.use_token_shift else None
        self.ngram_heads = NgramHeads(config) if config.ngram_head_order else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_hidden_layers))
        n_tables = config.num_hidden_layers if config.use_value_embeddings else 0
        self.value_embeddings = nn.ModuleList(ValueEmbedding(config) for _ in range(n_tables))
        is_tied = config.tie_word_embeddings
        self.head = None if is_tied else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table of token embeddings."""
        return self.embedding

    def get_output_embeddings(self) -> nn.Module | None:
        """The output layer; None if its weights are those of the embeddings."""
        return self.head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Next-token logits (batch, length, vocabulary); ``attention_mask`` is 0 at padding on either side."""
        if past_key_values is None and (self.config.use_cache if use_cache is None else use_cache):
            past_key_values = DynamicCache(config=self.config)
        start = 0 if past_key_values is None else past_key_values.get_seq_length()
        end = start + input_ids.size(1)
        if attention_mask is None:
            attention_mask = input_ids.new_ones(len(input_ids), end)
        visible = self.visible(attention_mask.bool(), start)
        embedded = normalize(self.embedding(input_ids))
        whole, tokens, found = embedded, input_ids, None
        if past_key_values is not None and (self.token_shift is not None or self.ngram_heads is not None):
            whole, tokens = TokenCache(past_key_values, self.config.num_hidden_layers).append(embedded, input_ids)
        if self.token_shift is not None:
            embedded = self.token_shift(embedded, self.previous(whole, attention_mask, start, end))
        if self.ngram_heads is not None:
            found = self.ngram_heads(self.embedding, tokens, visible)
            embedded = embedded + found[0]
        stream = embedded = self.dropout(embedded)
        rotation = self.rotation(start, end, stream)
        for layer, block in enumerate(self.blocks):
            values = self.value_embeddings[layer](input_ids) if self.value_embeddings else None
            stream = block(stream, embedded, rotation, visible, values, past_key_values)
        output = normalize(stream) if found is None else normalize(stream) + found[1]
        output_weight = self.embedding.weight if self.head is None else self.head.weight
        logits = F.linear(self.dropout(output), output_weight).float()
        if (cap := self.config.final_logit_softcapping) is not None:
            logits = cap * torch.tanh(logits / cap)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def previous(self, whole: Tensor, attention_mask: Tensor, start: int, end: int) -> Tensor:
        """The embedding before each new position, given those of all; zero before the first and after padding."""
        shifted = F.pad(whole, (0, 0, 1, 0))[:, start:end]
        is_text = F.pad(attention_mask.to(shifted.dtype), (1, 0))[:, start:end]
        return shifted * is_text.unsqueeze(-1)

    def visible(self, is_text: Tensor, start: int) -> Tensor:
        """Where new positions may attend, bool (batch, 1, length, positions); padding attends to itself."""
        positions = torch.arange(is_text.size(1), device=is_text.device)
        queries = positions[start:, None]
        return ((is_text.unsqueeze(1) & (positions <= queries)) | (positions == queries)).unsqueeze(1)

    def rotation(self, start: int, end: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (length, head_dim / 2) of the angles of positions."""
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float64, device=like.device) / head_dim
        positions = torch.arange(start, end, dtype=torch.float64, device=like.device)
        angles = torch.outer(positions, self.config.rope_theta**-exponents)
        return angles.cos().to(like.dtype), angles.sin().to(like.dtype)
