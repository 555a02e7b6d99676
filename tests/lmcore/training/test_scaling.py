"""The dial of size: larger sizes are larger models that are trained by the stated rules."""

from pathlib import Path

import pytest
import torch

from lmcore.config.models import LSTMConfig
from lmcore.config.training import MuonConfig, PretrainConfig
from lmcore.errors import UserError
from lmcore.models.families import build_model
from lmcore.training.scaling import scaled_model, scaled_training
from tasks.context.parameters import load_parameters
from tests.lmcore.models.small_models import CONFIGS, VOCABULARY

PARAMETERS = Path(__file__).parents[3] / "params.yaml"


@pytest.fixture(scope="module")
def configured() -> PretrainConfig:
    return load_parameters(PARAMETERS, preset="gpt").pretrain


def test_size_five_is_the_configured_model_but_for_the_size_of_its_heads(configured: PretrainConfig) -> None:
    scaled, own = scaled_model(configured.model, 5).model_dump(), configured.model.model_dump()
    heads = {"num_attention_heads", "num_key_value_heads"}
    assert {name: value for name, value in scaled.items() if name not in heads} == {
        name: value for name, value in own.items() if name not in heads
    }


@pytest.mark.parametrize("family", ["gpt", "gpt2"])
def test_two_sizes_double_the_width_and_add_a_layer(family: str) -> None:
    shapes = [scaled_model(CONFIGS[family].model_copy(update={"hidden_size": 64}), size) for size in range(1, 13)]
    for small, large in zip(shapes, shapes[2:], strict=False):
        assert large.hidden_size == pytest.approx(2 * small.hidden_size, rel=0.15)
        assert small.num_hidden_layers <= large.num_hidden_layers <= small.num_hidden_layers + 1
    widths = [shape.hidden_size for shape in shapes]
    assert widths == sorted(set(widths))


def test_every_size_can_be_built_and_has_more_weights_than_the_one_before() -> None:
    counts = []
    for size in range(1, 8):
        with torch.device("meta"):
            model = build_model(scaled_model(CONFIGS["gpt"].model_copy(update={"hidden_size": 32}), size), VOCABULARY)
        counts.append(sum(parameter.numel() for parameter in model.parameters()))
    assert counts == sorted(set(counts))


def test_every_size_is_trained_on_the_same_tokens_and_validated_as_often(configured: PretrainConfig) -> None:
    for size in range(1, 10):
        training = scaled_training(configured, size, n_tokens=1_000_000, n_validations=12).training
        n_tokens = training.max_steps * training.batch_size * configured.sequence_length
        assert n_tokens == pytest.approx(1_000_000, rel=0.03)
        assert training.max_steps / training.eval_steps == 12
        assert training.schedule.decay_ratio == 0.0


def test_rates_of_adamw_fall_with_the_root_of_the_width_and_that_of_muon_stays(configured: PretrainConfig) -> None:
    small, large = (
        scaled_training(configured, size, n_tokens=1_000_000, n_validations=12).training.optimizer for size in (3, 7)
    )
    assert isinstance(small, MuonConfig)
    assert isinstance(large, MuonConfig)
    assert small.learning_rate == large.learning_rate
    assert small.adamw.learning_rate == pytest.approx(2 * large.adamw.learning_rate)  # four times as wide


def test_a_family_without_width_and_heads_is_refused(configured: PretrainConfig) -> None:
    lstm = load_parameters(PARAMETERS, preset="lstm").pretrain.model
    assert isinstance(lstm, LSTMConfig)
    with pytest.raises(UserError, match="a model of family LSTM has no num_attention_heads: choose a Transformer"):
        scaled_model(lstm, 3)
