"""Rotary positions: attention depends on distances alone, and both scalings are those of ``transformers``."""

import pytest
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lmcore.config.published_models import LinearRopeScaling, Llama3RopeScaling
from lmcore.models.layers.rotary import RopeScaling, RotaryPositions

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
SCALINGS: list[RopeScaling] = [
    LinearRopeScaling(rope_type="linear", factor=4.0),
    Llama3RopeScaling(rope_type="llama3", **LLAMA3),
]


@pytest.mark.parametrize("scaling", [None, *SCALINGS])
def test_scores_depend_on_distances_alone_and_at_no_distance_on_nothing(scaling: RopeScaling | None) -> None:
    rotary = RotaryPositions(16, 100, rope_theta=100.0, rope_scaling=scaling)
    query, key = torch.randn(2, 1, 10, 3, 16)
    near, far = (rotary(query, start) @ rotary(key, start).transpose(-1, -2) for start in (0, 77))
    torch.testing.assert_close(near, far, rtol=0, atol=1e-4)
    plain = (query.transpose(1, 2) * key.transpose(1, 2)).sum(dim=-1)
    torch.testing.assert_close(near.diagonal(dim1=-2, dim2=-1), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scaled_frequencies_are_those_of_the_reference(scaling: RopeScaling) -> None:
    config = transformers.LlamaConfig(
        hidden_size=128,
        num_attention_heads=2,
        max_position_embeddings=256,
        rope_parameters=scaling.model_dump() | {"rope_theta": 5000.0},
    )
    expected, _ = ROPE_INIT_FUNCTIONS[scaling.rope_type](config, "cpu")
    rotary = RotaryPositions(64, 256, rope_theta=5000.0, rope_scaling=scaling)
    angles = torch.outer(torch.arange(256.0), expected)
    torch.testing.assert_close(rotary.cosine, angles.cos(), rtol=0, atol=1e-4)
    torch.testing.assert_close(rotary.sine, angles.sin(), rtol=0, atol=1e-4)
    plain = RotaryPositions(64, 256, rope_theta=5000.0, rope_scaling=None)
    assert not torch.allclose(plain.sine, rotary.sine, atol=0.1)
