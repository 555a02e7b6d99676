"""Settings of published architectures: shapes that cannot be are refused."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lmcore.config.models import ModelConfig
from tests.lmcore.models.small_models import CONFIGS

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def parse(family: str, **changes: Any) -> Any:
    return TypeAdapter(ModelConfig).validate_python(CONFIGS[family].model_dump() | changes)


@pytest.mark.parametrize("scaling", [None, {"rope_type": "linear", "factor": 2.0}, LLAMA3])
def test_every_scaling_of_rotary_positions_comes_back(scaling: dict[str, Any] | None) -> None:
    config = parse("llama", rope_scaling=scaling)
    assert TypeAdapter(ModelConfig).validate_python(config.model_dump()) == config


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("llama", {"head_dim": 7}, "multiple of 2"),
        ("llama", {"num_key_value_heads": 3}, r"must divide num_attention_heads \(4\) into groups; expected one of 1"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "'linear', 'llama3'"),
        ("llama", {"rope_scaling": LLAMA3 | {"high_freq_factor": 1.0}}, "low_freq_factor 1 must be less than high_"),
        ("t5", {"relative_attention_num_buckets": 6}, "multiple of 4"),
        ("t5", {"relative_attention_max_distance": 4}, "must be more than half of relative_attention_num_buckets 8"),
        ("t5", {"feed_forward_proj": "gated-silu"}, "'relu' or 'gated-gelu'"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse(family, **changes)
