"""The layers of the original Transformer equal those of PyTorch with the same weights."""

from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.layers.key_value_cache import KeyValueCache
from lmcore.models.layers.transformer import (
    GELUFeedForward,
    LayerNorm,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PreNormBlock,
    embedding_table,
)

SIZE, N_HEADS = 16, 2
Layer = TypeVar("Layer", bound=nn.Module)
SHAPE = {"hidden_size": SIZE, "num_attention_heads": N_HEADS, "dropout": 0.0}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def perturbed(layer: Layer) -> Layer:
    """The layer with weights and biases that all have an effect."""
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters()):
            parameter.add_(draw(*parameter.shape, seed=seed), alpha=0.3)
    return layer.eval()


def reference(output: nn.Linear, *inputs: nn.Linear) -> nn.MultiheadAttention:
    """PyTorch's own attention with the weights of the output layer and of those that make query, key and value."""
    attention = nn.MultiheadAttention(SIZE, N_HEADS, batch_first=True).eval()
    state = {
        "in_proj_weight": torch.cat([layer.weight for layer in inputs]),
        "in_proj_bias": torch.cat([layer.bias for layer in inputs]),
        "out_proj.weight": output.weight,
        "out_proj.bias": output.bias,
    }
    attention.load_state_dict(state)
    return attention


@pytest.mark.parametrize("is_causal", [True, False])
@torch.no_grad()
def test_self_attention_is_that_of_torch(*, is_causal: bool) -> None:
    layer, hidden = perturbed(MultiHeadSelfAttention(**SHAPE)), draw(3, 5, SIZE)
    hidden_positions = torch.ones(5, 5, dtype=torch.bool).triu(1) if is_causal else None
    expected, _ = reference(layer.output, layer.query_key_value)(hidden, hidden, hidden, attn_mask=hidden_positions)
    torch.testing.assert_close(layer(hidden, is_causal=is_causal), expected)


@torch.no_grad()
def test_self_attention_attends_to_visible_positions_only() -> None:
    layer, hidden = perturbed(MultiHeadSelfAttention(**SHAPE)), draw(2, 5, SIZE)
    is_text = torch.tensor([[True] * 5, [True, True, True, False, False]])
    expected, _ = reference(layer.output, layer.query_key_value)(hidden, hidden, hidden, key_padding_mask=~is_text)
    found = layer(hidden, is_causal=False, visible=is_text[:, None, None])
    torch.testing.assert_close(found[is_text], expected[is_text])


@torch.no_grad()
def test_a_block_with_a_cache_gives_what_it_gives_for_the_whole_sequence() -> None:
    feed_forward = GELUFeedForward(hidden_size=SIZE, intermediate_size=24, approximate=True)
    block = perturbed(PreNormBlock(MultiHeadSelfAttention(**SHAPE), feed_forward, hidden_size=SIZE, dropout=0.1))
    hidden = draw(3, 6, SIZE)
    cache = KeyValueCache(1, (3, N_HEADS, SIZE // N_HEADS), torch.float32, torch.device("cpu"))
    parts = []
    for part in hidden.split([4, 1, 1], dim=1):
        parts.append(block(part, is_causal=True, cache=cache))
        cache.advance(part.size(1))
    torch.testing.assert_close(torch.cat(parts, dim=1), block(hidden, is_causal=True))


@torch.no_grad()
def test_a_block_is_that_of_torch_with_the_normalization_first() -> None:
    feed_forward = GELUFeedForward(hidden_size=SIZE, intermediate_size=24, approximate=False)
    block = perturbed(PreNormBlock(MultiHeadSelfAttention(**SHAPE), feed_forward, hidden_size=SIZE, dropout=0.1))
    theirs = nn.TransformerEncoderLayer(SIZE, N_HEADS, 24, activation="gelu", batch_first=True, norm_first=True).eval()
    names = {
        "attention.query_key_value.": "self_attn.in_proj_",
        "attention.output.": "self_attn.out_proj.",
        "attention_norm.": "norm1.",
        "feed_forward_norm.": "norm2.",
        "feed_forward.input.": "linear1.",
        "feed_forward.output.": "linear2.",
    }
    state = {}
    for name, weight in block.state_dict().items():
        (ours,) = (prefix for prefix in names if name.startswith(prefix))
        state[names[ours] + name.removeprefix(ours)] = weight
    theirs.load_state_dict(state)
    hidden = draw(3, 5, SIZE)
    torch.testing.assert_close(block(hidden, is_causal=False), theirs(hidden), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_cross_attention_is_that_of_torch_also_where_rows_share_a_source() -> None:
    layer, hidden, source = perturbed(MultiHeadCrossAttention(**SHAPE)), draw(4, 1, SIZE), draw(2, 5, SIZE, seed=1)
    is_text = torch.tensor([[True] * 5, [True, True, False, False, False]])
    expected, _ = reference(layer.output, layer.query, layer.key_value)(
        hidden,
        *[source.repeat_interleave(2, dim=0)] * 2,
        key_padding_mask=~is_text.repeat_interleave(2, dim=0),
    )
    keys_and_values = layer.keys_and_values(source)
    visible = is_text[:, None, None]
    torch.testing.assert_close(layer(hidden, *keys_and_values, visible=visible), expected)
    copies = [part.repeat_interleave(2, dim=0) for part in (*keys_and_values, visible)]
    torch.testing.assert_close(layer(hidden, copies[0], copies[1], visible=copies[2]), expected)


def test_attention_weights_are_dropped_in_training_only() -> None:
    layer, hidden = perturbed(MultiHeadSelfAttention(**SHAPE | {"dropout": 0.5})), draw(2, 6, SIZE)
    assert torch.equal(layer(hidden, is_causal=True), layer(hidden, is_causal=True))
    layer.train()
    assert not torch.equal(layer(hidden, is_causal=True), layer(hidden, is_causal=True))


def test_layer_normalization_computes_in_the_dtype_of_its_input() -> None:
    layer = perturbed(LayerNorm(SIZE))
    hidden = 5 * draw(3, SIZE) + 2
    centered = hidden - hidden.mean(dim=-1, keepdim=True)
    scaled = centered / (centered.square().mean(dim=-1, keepdim=True) + layer.eps).sqrt()
    torch.testing.assert_close(layer(hidden), scaled * layer.weight + layer.bias)
    assert layer(hidden.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("approximate", [True, False])
def test_gelu_is_the_error_function_or_its_approximation(*, approximate: bool) -> None:
    layer, hidden = perturbed(GELUFeedForward(hidden_size=4, intermediate_size=9, approximate=approximate)), draw(7, 4)
    inner = F.linear(hidden, layer.input.weight, layer.input.bias)
    if approximate:
        gate = (1 + torch.tanh((2 / torch.pi) ** 0.5 * (inner + 0.044715 * inner**3))) / 2
    else:
        gate = torch.distributions.Normal(0.0, 1.0).cdf(inner)
    expected = F.linear(inner * gate, layer.output.weight, layer.output.bias)
    torch.testing.assert_close(layer(hidden), expected, rtol=1e-5, atol=1e-5)


def test_an_embedding_table_starts_with_the_deviation_of_gpt2() -> None:
    torch.manual_seed(0)
    assert embedding_table(500, 100).weight.std().item() == pytest.approx(0.02, rel=0.02)
