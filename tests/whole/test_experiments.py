"""What data scientists meet at DVC's own commands: one-line changes, kept comments."""

from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from flows.recipe import apply_recipe
from tasks.context.parameters import load_parameters
from tests.sample_project import PROJECT

NAMES = sorted(path.stem for path in (PROJECT / "recipes").glob("*.yaml"))


def changed_lines(before: str, after: str) -> list[str]:
    assert before.count("\n") == after.count("\n")
    return [new for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]


@pytest.mark.parametrize("recipe", [None, *NAMES])
def test_an_experiment_changes_one_line_of_the_parameters(recipe: str | None, tmp_path: Path) -> None:
    before = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    if recipe is not None:
        before = apply_recipe(before, PROJECT / "recipes" / f"{recipe}.yaml")
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", ["pretrain.seed=2"])
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    assert changed_lines(before, after) == ["  seed: 2"]


def test_an_experiment_overrides_a_shared_setting_for_one_training_by_adding_one_line(tmp_path: Path) -> None:
    before = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", ["+pretrain.training.precision=float32"])
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8").splitlines()
    after.remove("    precision: float32")
    assert after == before.splitlines()
    parameters = load_parameters(tmp_path / "params.yaml")
    assert parameters.pretrain.training.precision == "float32"
    assert parameters.finetune.completion is not None
    assert parameters.finetune.completion.training.precision == "native"


def test_an_experiment_changes_a_shared_setting_for_all_trainings_in_one_line(tmp_path: Path) -> None:
    before = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    apply_overrides(tmp_path / "params.yaml", ["trainer.precision=float32"])
    assert changed_lines(before, (tmp_path / "params.yaml").read_text(encoding="utf-8")) == ["  precision: float32"]
    assert load_parameters(tmp_path / "params.yaml").pretrain.training.precision == "float32"
