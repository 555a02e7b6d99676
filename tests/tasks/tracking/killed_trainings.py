"""Trainings that are killed after their n-th request to MLflow and started again: ``FOLDER STORE EVERY``.

All trainings are forked from this process, which has imported everything, so each takes a fraction of a second.
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

from lmcore.runtime.files import write_json
from lmcore.training.checkpoint import Checkpoint, save_checkpoint
from tasks.context.environment import Environment
from tasks.context.library_settings import withdraw_defaults
from tasks.tracking import run, uploader
from tasks.tracking.store.client import Requests
from tasks.training import tracked_training
from tests.tasks.tracking.tiny_models import RECORD, save_tiny_model

withdraw_defaults()  # the store of each training is where its folder is
torch.set_num_threads(1)
uploader.MAX_DELAY_SECONDS = 60.0  # a busy machine is no outage
run.lineage = lambda *_: {"pipeline.id": "one"}  # git and DVC, which take most of the time


def train(work_folder):
    """A training that takes no time; it appends a line to the file ``made`` unless its result is reused."""

    with tracked_training(
        Environment(work_folder=work_folder),
        stage="pretrain",
        model="language-model",
        family="gpt",
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


def kill_after(n_requests):
    """Kill this process at the end of its n-th request."""
    request, done = Requests.request, [0]

    @contextmanager
    def counted(self, extra_seconds=0.0):
        with request(self, extra_seconds):
            yield
        done[0] += 1
        if done[0] == n_requests:
            os.kill(os.getpid(), signal.SIGKILL)

    Requests.request = counted


def forked(function, *arguments):
    """Call a function in a forked process; return its exit status."""
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


def killed_training(folder, store, n_requests):
    """Kill a training after its n-th request, start it again and check the store; return whether it was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "work" / "mlflow").mkdir(parents=True)
    (folder / "data").mkdir()
    write_json(folder / "data" / "summary.json", {})
    shutil.copy(store, folder / "work" / "mlflow" / "mlflow.db")
    os.chdir(folder)

    def first():
        kill_after(n_requests)
        train(folder / "work")

    was_killed = forked(first) != 0
    was_finished = any((folder / "work" / "checkpoints").glob("*/result"))
    assert forked(train, folder / "work") == 0
    with closing(sqlite3.connect(folder / "work" / "mlflow" / "mlflow.db")) as database:

        def ask(query):
            return database.execute(query).fetchall()

        assert ask("SELECT status FROM runs") == [("FINISHED",)], (n_requests, ask("SELECT name, status FROM runs"))
        assert ask("SELECT status FROM logged_models") == [(2,)], n_requests  # READY
        assert len(ask("SELECT * FROM model_versions")) == 1, n_requests
        twice = ask(
            "SELECT key, step, count(*) FROM metrics WHERE key NOT LIKE 'system/%' GROUP BY 1, 2 HAVING count(*) > 1"
        )
        assert twice == [], (n_requests, twice)
        assert len(ask("SELECT * FROM inputs WHERE source_type = 'DATASET'")) == 1, n_requests
        assert len(ask("SELECT DISTINCT key FROM metrics WHERE key = 'train/n_parameters'")) == 1, n_requests
    assert Path("made").read_text() == "once\n" or not was_finished, n_requests
    assert not list((folder / "work" / "tracking").iterdir()), n_requests
    return was_killed


def main():
    folder, store, every = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    n_requests = 1
    while killed_training(folder / str(n_requests), store, n_requests):
        n_requests += every
    sys.stdout.write(f"{n_requests}\n")


if __name__ == "__main__":
    main()
