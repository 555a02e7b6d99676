"""A sweep in a real DVC project: trials are experiments, bad ones stop, and a sweep that was killed goes on.

The stage is a small program that writes the metrics of a training as tracking does; it trains nothing.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from flows.runtime import sweep_search
from flows.runtime.sweep_search import Search
from flows.runtime.sweep_settings import MetricConfig, PruningConfig, RangeConfig, SweepConfig
from flows.runtime.sweep_trial import EXPERIMENTS, experiment_names
from tasks.compare.live_curve import live_curve
from tasks.context.environment import Environment
from tests.sample_project import PROJECT, commit_all

STEPS = 4
PROGRAM = f"""
import csv, os, pathlib, sys, time
from ruamel.yaml import YAML
from tasks.tracking.local_run import LocalRun, new_run_folder
from tasks.tracking.outbox import tracking_folder
from tasks.tracking.run_info import RunInfo, now
from tasks.context.environment import Environment

environment = Environment()
rate = YAML(typ="safe").load(pathlib.Path("params.yaml"))["rate"]
info = RunInfo(
    model="language-model", family=None, stage="train", start_time=now(), parameters={{}}, datasets=[],
    lineage={{"dvc.experiment": os.environ["DVC_EXP_NAME"]}}, parent=environment.comparison_run,
)
name = pathlib.Path(f"language-model-{{os.environ['DVC_EXP_NAME']}}")
run = LocalRun.create(new_run_folder(tracking_folder(environment), name), info, b"")
rows = []
for step in range(1, {STEPS} + 1):
    rows.append((step, rate + 1 / step))
    run.log_metrics(step, {{"validation_loss": rows[-1][1]}})
if rate > 0.8:
    time.sleep(600)  # only a trial that is stopped ends
with open("curve.csv", "w", newline="") as file:
    csv.writer(file).writerows([("step", "validation_loss"), *rows])
"""
CONFIG = SweepConfig(
    stage="train",
    metric=MetricConfig(file=Path("curve.csv"), name="validation_loss", direction="minimize"),
    trials=3,
    seed=5,
    random_trials=9,
    pruning=PruningConfig(model="language-model", metric="validation_loss", warmup_steps=2, startup_trials=1),
    parameters={"rate": RangeConfig(low=0.1, high=0.9, log=False)},
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with one stage, in the current folder."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    shutil.copy(PROJECT / ".dvc" / "config", folder / ".dvc" / "config")
    (folder / "train.py").write_text(PROGRAM)
    (folder / "params.yaml").write_text("rate: 0.5\n")
    stage = {"cmd": f"{sys.executable} train.py", "deps": ["train.py"], "params": ["rate"], "outs": ["curve.csv"]}
    (folder / "dvc.yaml").write_text(json.dumps({"stages": {"train": stage}}))
    (folder / ".gitignore").write_text(".work/\n")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LMCORE_WORK_FOLDER", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT)]))
    commit_all()
    return folder


def search(project: Path, config: SweepConfig = CONFIG) -> Search:
    environment = Environment(work_folder=project / ".work")
    return Search(config, folder=project / ".work/sweep", name="try", environment=environment, variables={})


def drawn(found: Search) -> list[float]:
    return [trial.params["rate"] for trial in found.trials]


def test_trials_are_experiments_bad_ones_stop_and_a_killed_sweep_goes_on(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(project)

    def killed(self: Search, *arguments: object) -> object:
        if len(self.trials) == 2:
            raise KeyboardInterrupt
        return started(self, *arguments)

    started = Search._start
    monkeypatch.setattr(Search, "_start", killed)
    with pytest.raises(KeyboardInterrupt):
        first.run(1)
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    assert [trial.state.name for trial in first.trials] == ["COMPLETE", "RUNNING"]
    second = search(project)
    second.run(1)
    states = [trial.state.name for trial in second.trials]
    rates = drawn(second)
    assert len(states) == 3
    best = rates[0] + 1 / STEPS
    for number, (state, rate, trial) in enumerate(zip(states, rates, second.trials, strict=True)):
        is_worse = number > 0 and rate > min(rates[:number])
        if state == "PRUNED":
            assert is_worse
            assert max(trial.intermediate_values) == 2  # the first step at which a trial may stop
            assert rate > 0.8 or second.experiment(trial) in experiment_names()
        else:
            assert trial.value == pytest.approx(rate + 1 / STEPS)
            assert second.experiment(trial) in experiment_names()
            best = min(best, trial.value)
    assert not list((EXPERIMENTS / "standalone").glob("tmp*"))
    # Uninterrupted, the same values are drawn: what is drawn depends on the seed, the number and the trials before.
    other = optuna.create_study(direction="minimize")
    for number, trial in enumerate(second.trials):
        other.sampler = optuna.samplers.TPESampler(n_startup_trials=9, seed=CONFIG.seed * 1_000_003 + number)
        assert other.ask(CONFIG.distributions()).params == trial.params


def test_a_trial_whose_training_is_seen_to_be_bad_is_stopped_at_once(project: Path) -> None:
    """Its program would wait for ten minutes."""
    space = {"rate": RangeConfig(low=0.85, high=0.9, log=False)}
    high = CONFIG.model_copy(update={"trials": 2, "parameters": space})
    found = search(project, high)
    found._study.add_trial(
        optuna.trial.create_trial(
            value=0.1,
            params={"rate": 0.86},
            distributions=high.distributions(),
            intermediate_values=dict.fromkeys(range(1, STEPS + 1), 0.1),
        )
    )
    started = time.monotonic()
    found.run(1)
    assert time.monotonic() - started < 300
    assert [trial.state.name for trial in found.trials] == ["COMPLETE", "PRUNED"]
    curve = live_curve(
        Environment(work_folder=project / ".work"),
        experiment="try-001",
        model="language-model",
        metric="validation_loss",
    )
    assert curve == [(step, pytest.approx(drawn(found)[1] + 1 / step)) for step in range(1, STEPS + 1)]
    assert not list((EXPERIMENTS / "standalone").glob("tmp*"))


def test_a_trial_that_fails_is_shown_with_its_last_lines_and_the_sweep_goes_on(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (project / "train.py").write_text("raise SystemExit('no memory for this batch')\n")
    found = search(project, CONFIG.model_copy(update={"trials": 1}))
    with caplog.at_level("WARNING", sweep_search.logger.name):
        found.run(1)
    assert [trial.state.name for trial in found.trials] == ["FAIL"]
    assert "no memory for this batch" in (project / ".work/sweep/logs/try-000.log").read_text()
    assert "try-000 exited with code" in caplog.text
