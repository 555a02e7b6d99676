"""A training that is killed at the end of one request to MLflow, and once more started: ``FOLDER EVERY``.

All trainings are forked from this process, which has imported everything: each takes a fraction of a second.
"""

import os
import shutil
import signal
import sqlite3
import sys
import traceback
from contextlib import closing, contextmanager
from pathlib import Path

import torch
from tiny_models import RECORD, save_tiny_model

from lmcore.runtime.files import write_json
from lmcore.training.checkpoint import Checkpoint, save_checkpoint
from tasks.context.environment import Environment
from tasks.context.library_settings import withdraw_defaults
from tasks.tracking import outages, run
from tasks.tracking.store import Calls
from tasks.training import tracked_training

withdraw_defaults()  # the store of each training is where its folder is
torch.set_num_threads(1)
outages.SILENT_SECONDS = 60.0  # a busy machine is no outage
run.lineage = lambda *_: {"pipeline.id": "one"}  # git and DVC, which take most of the time


def train(work_folder):
    """A training that takes no time; its second half is only made where no result is found."""

    with tracked_training(
        Environment(work_folder=work_folder),
        stage="pretrain",
        model="language-model",
        parameters={"seed": 0},
        inputs=[Path("data")],
        datasets=[Path("data")],
        model_folder=Path("model"),
        curves=Path("curves"),
    ) as training:
        if training is None:
            return
        save_checkpoint(training.checkpoints, Checkpoint(2, {"x": torch.zeros(1)}, {}))
        with Path("made").open("a") as file:
            file.write("once\n")
        for step in (2, 4):
            training.log_metrics(step, {"loss": 1 / step})
        training.save(RECORD, lambda folder: save_tiny_model(folder, "language-model"))


def kill_after(n_calls):
    """Let this process die at the end of so many requests."""
    ask, done = Calls.call, [0]

    @contextmanager
    def counted(self, patience_seconds=0.0):
        with ask(self, patience_seconds):
            yield
        done[0] += 1
        if done[0] == n_calls:
            os.kill(os.getpid(), signal.SIGKILL)

    Calls.call = counted


def forked(function, *arguments):
    """The exit status of a process that does this and nothing else."""
    if (pid := os.fork()) == 0:
        code = 1
        try:
            function(*arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def killed_training(folder, store, n_calls):
    """Whether the training was killed, and what the store then has, or is found wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "work" / "mlflow").mkdir(parents=True)
    (folder / "data").mkdir()
    write_json(folder / "data" / "summary.json", {})
    shutil.copy(store, folder / "work" / "mlflow" / "mlflow.db")
    os.chdir(folder)

    def first():
        kill_after(n_calls)
        train(folder / "work")

    was_killed = forked(first) != 0
    was_finished = any((folder / "work" / "checkpoints").glob("*/result"))
    assert forked(train, folder / "work") == 0
    with closing(sqlite3.connect(folder / "work" / "mlflow" / "mlflow.db")) as database:

        def ask(query):
            return database.execute(query).fetchall()

        assert ask("SELECT status FROM runs") == [("FINISHED",)], (n_calls, ask("SELECT name, status FROM runs"))
        assert ask("SELECT status FROM logged_models") == [(2,)], n_calls  # READY
        assert len(ask("SELECT * FROM model_versions")) == 1, n_calls
        twice = ask(
            "SELECT key, step, count(*) FROM metrics WHERE key NOT LIKE 'system/%' GROUP BY 1, 2 HAVING count(*) > 1"
        )
        assert twice == [], (n_calls, twice)
        assert len(ask("SELECT * FROM inputs WHERE source_type = 'DATASET'")) == 1, n_calls
        assert len(ask("SELECT DISTINCT key FROM metrics WHERE key = 'train/n_parameters'")) == 1, n_calls
    assert Path("made").read_text() == "once\n" or not was_finished, n_calls
    assert not list((folder / "work" / "tracking").iterdir()), n_calls
    return was_killed


def main():
    folder, store, every = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    n_calls = 1
    while killed_training(folder / str(n_calls), store, n_calls):
        n_calls += every
    sys.stdout.write(f"{n_calls}\n")


if __name__ == "__main__":
    main()
