"""The settings of a sweep become Optuna's search space and DVC's overrides."""

from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError
from ruamel.yaml import YAML

from flows.runtime.settings_file import read_settings
from flows.runtime.sweep_settings import MetricConfig, RangeConfig, SweepConfig, check_paths, override
from lmcore.errors import UserError
from tests.sample_project import PROJECT

SETTINGS = """\
stage: pretrain
metric: {file: reports/pretrain/validation.csv, name: validation_loss, direction: minimize}
trials: 3
seed: 1
random_trials: 2
pruning: null
parameters:
  pretrain.training.optimizer.learning_rate: {low: 0.001, high: 0.1, log: true}
  pretrain.training.max_steps: {low: 10, high: 20, log: false}
  pretrain.model: {choices: [gpt, lstm]}
"""


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    path = tmp_path / "sweep.yaml"
    path.write_text(SETTINGS)
    return read_settings(path, SweepConfig)


def test_ranges_and_choices_become_the_search_space(config: SweepConfig) -> None:
    assert config.distributions() == {
        "pretrain.training.optimizer.learning_rate": FloatDistribution(0.001, 0.1, log=True),
        "pretrain.training.max_steps": IntDistribution(10, 20),
        "pretrain.model": CategoricalDistribution(("gpt", "lstm")),
    }


@pytest.mark.parametrize("value", ["lstm", 4, 0.0123456789, 1e-7, True, None])
def test_dvc_reads_an_override_as_the_value_that_was_drawn(value: object, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a:\n  b: 1\n")
    apply_overrides(path, [override("a.b", value)])
    assert YAML(typ="safe").load(path) == {"a": {"b": value}}


def test_a_parameter_that_the_file_does_not_have_is_named(config: SweepConfig) -> None:
    check_paths(config, PROJECT / "params.yaml")
    wrong = config.model_copy(
        update={"parameters": {"pretrain.trainig.max_steps": RangeConfig(low=1, high=2, log=False)}}
    )
    with pytest.raises(UserError, match=r"params\.yaml has no pretrain\.trainig\.max_steps: correct the path"):
        check_paths(wrong, PROJECT / "params.yaml")


@pytest.mark.parametrize(("low", "high", "log"), [(2, 1, False), (0.0, 1.0, True)])
def test_an_impossible_range_is_refused(low: float, high: float, log: bool) -> None:
    with pytest.raises(ValidationError, match="is not a range"):
        RangeConfig(low=low, high=high, log=log)


def test_the_best_value_depends_on_the_direction() -> None:
    low, high = (MetricConfig(file=Path("a.csv"), name="a", direction=one) for one in ("minimize", "maximize"))
    assert (low.best([2.0, 1.0]), high.best([2.0, 1.0])) == (1.0, 2.0)
