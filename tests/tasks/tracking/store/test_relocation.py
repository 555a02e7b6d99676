import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow

from lmcore.runtime.files import folder_digest
from tasks import tracking
from tasks.context.environment import Environment
from tasks.tracking.store.client import set_default_uri
from tests.tasks.tracking.trainings import runs, train

PROJECT = Path(__file__).parents[4]


def test_a_store_that_was_moved_or_copied_knows_where_it_is_and_leaves_the_original_alone(environment, tmp_path):
    train(environment, seed=1)
    moved = Environment(work_folder=tmp_path / "mövéd #1 100%" / ".work")
    moved.work_folder.parent.mkdir()
    environment.work_folder.rename(moved.work_folder)
    tracking.relocate_store(moved)
    assert_everything_is_in(moved, environment)

    copied = Environment(work_folder=tmp_path / "copy" / ".work")
    shutil.copytree(moved.work_folder, copied.work_folder)
    before = folder_digest(moved.work_folder)
    # Before any command of MLflow reads it: `mlflow gc` in the copy would delete the files of the original.
    start_python(copied)
    assert_everything_is_in(copied, moved)
    train(copied, seed=2)  # any stage that tracks
    assert folder_digest(moved.work_folder) == before
    assert_everything_is_in(copied, moved)
    assert len(runs(copied)) == 2


def assert_everything_is_in(environment, elsewhere):
    with closing(sqlite3.connect(environment.mlflow_folder / "mlflow.db")) as database:
        dump = "\n".join(database.iterdump())
    for uri in (elsewhere.mlflow_artifacts_uri, elsewhere.mlflow_store_uri):
        assert uri not in dump
    note = runs(environment)[0].data.tags["mlflow.note.content"]
    assert repr(environment.mlflow_store_uri) in note
    set_default_uri(environment.mlflow_store_uri)
    model = mlflow.pyfunc.load_model("models:/language-model/1")
    assert isinstance(model.predict(model.input_example)["completion"][0], str)


def start_python(environment):
    """What every Python of the project's ``.venv`` does when it starts."""
    command = [sys.executable, "-c", "from tasks.context.library_settings import set_defaults; set_defaults()"]
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        "LMCORE_WORK_FOLDER": str(environment.work_folder),
    }
    subprocess.run(command, cwd=PROJECT, env=variables, check=True, capture_output=True)
