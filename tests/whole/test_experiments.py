"""What data scientists meet at DVC's own commands: one-line changes, kept comments, plots without a network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from flows.recipe import apply_recipe
from flows.runtime.plot_page import PAGE, write_plot_page
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


def test_the_plots_of_dvc_load_nothing_from_the_network(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    (tmp_path / "curve.csv").write_text("step,loss\n1,3.5\n2,2.5\n")
    (tmp_path / "dvc.yaml").write_text("plots:\n- Loss:\n    x: step\n    y: {curve.csv: loss}\n")
    write_plot_page(tmp_path / PAGE)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "plots", "show"], cwd=tmp_path, check=True, capture_output=True)
    page = (tmp_path / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"(?:src|href)=.?https?://[^>]*", page) == []
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium to open the page with")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    shown = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'browser'}", (tmp_path / "dvc_plots/index.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "vega-embed" in shown
    assert "<canvas" in shown or "<svg" in shown
