"""One trial of a sweep: a DVC experiment in a folder of its own, whose training is watched and may be stopped."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from flows.runtime.processes import stop_session
from flows.runtime.sweep_settings import MetricConfig, override
from tasks.context.process import ProcessIdentity

EXPERIMENTS = Path(".dvc/tmp/exps")


@dataclass
class TrialProcess:
    """A running ``dvc exp run``.

    Attributes:
        experiment: the name of the experiment.
        process: the process of DVC.
        leader: its identity, which is that of its session.
        log: the open file that its output goes to.
    """

    experiment: str
    process: "subprocess.Popen[bytes]"
    leader: ProcessIdentity = field(init=False)
    log: IO[bytes]

    def __post_init__(self) -> None:
        self.leader = ProcessIdentity.of(psutil.Process(self.process.pid))

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """End it with everything it started; the training saves a checkpoint. Does nothing if it has ended."""
        stop_session(self.leader)
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Remove what DVC leaves of an experiment's folder, and close the log."""
        self.log.close()
        remove_leftovers(self.experiment)


def start_trial(
    experiment: str, values: Mapping[str, Any], *, stage: str, variables: Mapping[str, str], log: Path
) -> TrialProcess:
    """Start a trial as an experiment that starts from the workspace as it is.

    Args:
        experiment: its name.
        values: the parameters by their paths.
        stage: the stage to run.
        variables: environment variables for the stage's process.
        log: the file for its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    file = log.open("ab")
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "exp", "run", "--temp", "--name", experiment]
    command += [argument for path, value in values.items() for argument in ("--set-param", override(path, value))]
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(
        [*command, stage],
        env={**os.environ, **variables, "PATH": search},
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return TrialProcess(experiment, process, log=file)


def experiment_names() -> set[str]:
    """The names of all experiments of the project that have ended."""
    from dvc.repo import Repo

    with Repo() as repository:
        return {name for found in repository.experiments.ls(all_commits=True).values() for name, _ in found}


def read_metric(experiment: str, metric: MetricConfig) -> float:
    """The value of the metric in an experiment.

    Raises:
        KeyError: if its file has no such metric.
    """
    values = [value for _, value in read_curve(experiment, metric)]
    if not values:
        raise KeyError(metric.name)
    return metric.best(values)


def read_curve(experiment: str, metric: MetricConfig) -> list[tuple[int, float]]:
    """The steps and values of the metric in an experiment's table; of metrics without steps, one value at step 0."""
    import dvc.api

    text = dvc.api.read(metric.file.as_posix(), rev=experiment)
    if metric.file.suffix == ".json":
        return [(0, float(json.loads(text)[metric.name]))]
    rows = csv.DictReader(io.StringIO(text))
    return [(int(row.get("step") or 0), float(row[metric.name])) for row in rows]


def remove_leftovers(experiment: str) -> None:
    """Remove the folder and the record of an experiment's process, which DVC leaves if it was stopped."""
    for record in EXPERIMENTS.glob("run/*/*.run"):
        try:
            found = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if found.get("name") == experiment:
            folder = Path(found["root_dir"])
            if folder.parent == (EXPERIMENTS / "standalone").absolute():
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(record.parent, ignore_errors=True)
