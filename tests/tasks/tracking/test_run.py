import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tasks.tracking.trainings import curve, fail, finish, interrupt, only_run, runs, store_of, train

PROJECT = Path(__file__).parents[3]


def child(environment, code):
    """A process that runs Python code; it has ``start``, ``log_steps`` and ``environment``."""
    script = f"""
import os, signal, sys, time
from pathlib import Path
from flows.runtime.commands import exit_when_terminated
from tasks.context.environment import Environment
from tasks.tracking import uploader
from tests.tasks.tracking.trainings import start, log_steps, runs
uploader.MAX_DELAY_SECONDS = 60.0
environment = Environment(work_folder=Path({str(environment.work_folder)!r}))
{code}
"""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


DIE_WHEN_STORED = """
with start(environment) as run:
    log_steps(run, range(1, 61))
    while not any(run.data.metrics for run in runs(environment)):
        time.sleep(0.1)
    log_steps(run, range(61, 71))
    os.kill(os.getpid(), signal.SIGKILL)
"""


WAIT_TO_BE_TERMINATED = """
exit_when_terminated()
with start(environment) as run:
    log_steps(run, range(1, 4))
    print("training", flush=True)
    time.sleep(120)
"""


def test_a_training_that_is_terminated_again_and_again_reports_it_before_it_ends(environment):
    with child(environment, WAIT_TO_BE_TERMINATED) as process:
        assert process.stdout.readline() == "training\n"
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        messages = process.stderr.read()
    # Python's own end leaves the signal to the system.
    assert process.returncode in (128 + signal.SIGTERM, -signal.SIGTERM)
    run = only_run(environment)
    assert run.info.status == "KILLED"
    assert run.data.tags["error"] == "killed: terminated by SIGTERM"
    assert len(curve(environment, run, "train/loss")) == 3, messages


def test_a_killed_training_is_closed_by_the_next_one_and_continues_its_run_when_it_is_resumed(environment):
    process = child(environment, DIE_WHEN_STORED)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, messages
    run = only_run(environment)
    assert run.info.status == "RUNNING"
    train(environment, model="classifier")
    killed, other = runs(environment)
    assert (killed.info.status, other.info.status) == ("KILLED", "FINISHED")
    assert killed.data.tags["error"] == "killed: its process ended without reporting"
    assert killed.info.end_time <= other.info.start_time
    assert len(curve(environment, killed, "train/loss")) == 70  # also those that it had no time to send

    # A checkpoint's history is reported once more, and so are the steps since the checkpoint.
    finish(environment, resumed_from_step=50, steps=[*range(1, 51), *range(51, 101)])
    resumed, _ = runs(environment)
    assert resumed.info.run_id == run.info.run_id
    assert resumed.info.status == "FINISHED"
    assert resumed.data.tags["resume.count"] == "1"
    assert "error" not in resumed.data.tags
    assert curve(environment, resumed, "train/loss") == [(step, 1 / step) for step in range(1, 101)]
    assert [step for step, _ in curve(environment, resumed, "validation/loss")] == list(range(2, 101, 2))


def test_a_training_that_was_killed_before_its_first_checkpoint_continues_its_run_from_the_beginning(environment):
    interrupt(environment, steps=range(1, 4))
    interrupt(environment, steps=range(1, 6))
    run = only_run(environment)
    assert run.data.tags["resume.from_step"] == "0"
    assert [step for step, _ in curve(environment, run, "train/loss")] == [1, 2, 3, 4, 5]


def test_a_resumed_training_whose_run_was_deleted_gets_a_complete_new_one(environment):
    with pytest.raises(ValueError, match="x"):
        fail(environment, ValueError("x"), steps=range(1, 6))
    store_of(environment).delete_run(only_run(environment).info.run_id)
    finish(environment, resumed_from_step=3, steps=range(1, 11))
    run = only_run(environment)
    assert [step for step, _ in curve(environment, run, "train/loss")] == list(range(1, 11))
    assert "error" not in run.data.tags


def test_a_line_cut_off_by_a_kill_is_written_again(environment):
    interrupt(environment, steps=range(1, 4))
    (metrics,) = environment.work_folder.glob("tracking/*/metrics.jsonl")
    with metrics.open("a") as file:
        file.write('{"time": 1, "st')
    interrupt(environment, resumed_from_step=2, steps=range(1, 6))
    assert [step for step, _ in curve(environment, only_run(environment), "train/loss")] == [1, 2, 3, 4, 5]


def test_local_runs_do_not_accumulate(environment):
    for model in ("language-model", "classifier", "completion"):
        interrupt(environment, model=model)
        # As a training that has ended well does with its checkpoints.
        shutil.rmtree(environment.work_folder / "checkpoints" / f"{model}-0")
    assert len(list(environment.work_folder.glob("tracking/*"))) == 1
