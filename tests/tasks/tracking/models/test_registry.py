"""A registered model is pinned with its content, which stays whatever becomes of the alias and of the server."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lmcore.errors import UserError
from lmcore.runtime.files import folder_digest
from tasks.context.environment import Environment
from tasks.context.source_lock import NamedFile
from tasks.tracking.models import registry
from tasks.tracking.models.registry import pin_registered_model, registered_model_folder, remove_unused_models
from tests.sample_project import PROJECT
from tests.tasks.tracking.trainings import store_of, train

ADDRESS = "models:/language-model@best"


def entry(version: str, digest: str) -> NamedFile:
    return NamedFile("pretrain.init_from", ADDRESS, digest, version)


def test_a_pinned_model_stays_when_its_alias_moves_and_is_fetched_again_when_its_copy_is_lost(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = train(environment, seed=0), train(environment, seed=1)
    client = store_of(environment)
    client.set_registered_model_alias("language-model", "best", "1")
    pinned = entry(*pin_registered_model(environment, ADDRESS, None))
    assert (pinned.version, pinned.content) == ("1", folder_digest(first))
    client.set_registered_model_alias("language-model", "best", "2")
    folder = registered_model_folder(environment, pinned)
    assert folder_digest(folder) == folder_digest(first)
    for damage in (lambda: shutil.rmtree(folder), lambda: (folder / "config.json").write_text("{}")):
        damage()
        assert folder_digest(registered_model_folder(environment, pinned)) == pinned.content

    moved = entry(*pin_registered_model(environment, ADDRESS, pinned))
    assert (moved.version, moved.content) == ("2", folder_digest(second))
    assert pin_registered_model(environment, "models:/language-model/1", None) == (pinned.version, pinned.content)
    for address in ("models:/language-model@none", "models:/nowhere/1", "models:/language-model/7"):
        with pytest.raises(UserError, match="the model registry has no such model"):
            pin_registered_model(environment, address, None)
    with pytest.raises(UserError, match="names no registered model: expected models:/NAME@ALIAS or"):
        pin_registered_model(environment, "models:/language-model", None)

    away = Environment(work_folder=environment.work_folder, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert pin_registered_model(away, ADDRESS, moved) == (moved.version, moved.content)
    assert folder_digest(registered_model_folder(away, moved)) == moved.content
    with pytest.raises(registry.UnavailableError, match="does not answer"):
        pin_registered_model(away, ADDRESS, None)


def test_another_model_under_a_pinned_version_is_refused(environment: Any) -> None:
    train(environment)
    with pytest.raises(UserError, match=r"models:/language-model/1 has SHA-256 .*, but 0000.* is pinned"):
        registered_model_folder(environment, entry("1", "0" * 64))
    assert not (Path(environment.work_folder) / "base-models" / ("0" * 64)).exists()


def copy_in(environment: Any, content: str) -> str:
    """Make a copy of a model as if it had been downloaded; its SHA-256."""
    parent = Path(environment.work_folder) / "base-models"
    (parent / "new").mkdir(parents=True)
    (parent / "new" / "config.json").write_text(content)
    digest = folder_digest(parent / "new")
    (parent / "new").rename(parent / digest)
    return digest


def test_only_copies_that_are_not_pinned_are_removed(environment: Any) -> None:
    assert remove_unused_models(environment, ()) == []
    pinned, unused = copy_in(environment, "1"), copy_in(environment, "2")
    parent = Path(environment.work_folder) / "base-models"
    for name, age in ((".download-now", 0), (".download-killed", 3 * 24 * 3600)):
        (parent / name).mkdir()
        os.utime(parent / name, (time.time() - age,) * 2)
    assert remove_unused_models(environment, {pinned}) == [unused]
    assert {folder.name for folder in parent.iterdir()} == {pinned, ".download-now"}


def test_a_copy_that_a_running_training_uses_stays_until_the_training_ends(environment: Any) -> None:
    digest = copy_in(environment, "1")
    program = f"""
import sys
from tasks.context.environment import Environment
from tasks.context.source_lock import NamedFile
from tasks.tracking.models.registry import registered_model_folder
registered_model_folder(Environment(), NamedFile("pretrain.init_from", "{ADDRESS}", "{digest}", "1"))
print("started", flush=True)
sys.stdin.read()
"""
    variables = {**os.environ, "LMCORE_WORK_FOLDER": str(environment.work_folder), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program]
    training = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert training.stdout is not None
    assert training.stdout.readline() == "started\n"
    assert remove_unused_models(environment, ()) == []
    assert (Path(environment.work_folder) / "base-models" / digest / "config.json").exists()
    training.kill()
    training.communicate()
    assert remove_unused_models(environment, ()) == [digest]
