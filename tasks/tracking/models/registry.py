"""Models of MLflow's registry that trainings start from, by their address: ``models:/NAME@ALIAS`` or
``models:/NAME/VERSION``.

A model is copied to ``base-models/SHA256`` in the work folder when its version is pinned, and again from the artifact
store where that copy is missing. So it is there whatever the alias names later, and without a server. A process that
uses a copy locks its folder until it ends; copies that nothing pins and nobody uses are removed.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lmcore.errors import UserError
from lmcore.runtime.files import atomic_folder, folder_digest
from tasks.context.environment import Environment
from tasks.context.source_lock import NamedFile
from tasks.tracking.store.client import Requests, Store, one_line, without_password

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

PREFIX = "models:/"
CONFIG = "config.json"
"""The file by which a model folder is found among the artifacts of a version."""
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's answers where there is no such model, version or alias."""
MODEL_TAG = "model.digest"
LEFTOVER_SECONDS = 24 * 3600
"""The age at which an unfinished download is taken to be from a process that was killed."""
_locked_folders: list[int] = []
"""Open folders that this process uses, which are locked as long as they are open: until it ends."""


class UnavailableError(UserError):
    """The model registry does not answer."""


def pin_registered_model(environment: Environment, address: str, pinned: NamedFile | None) -> tuple[str, str]:
    """The version that an address names now, and the SHA-256 of its model folder, which is copied to the work folder.

    If the registry does not answer, what is pinned stays.

    Raises:
        UserError: if there is no such model, or the registry does not answer and nothing is pinned.
    """
    try:
        version = _find(environment, address)
        digest = version.tags.get(MODEL_TAG)
        if digest is None or not _copy_of(environment, digest).is_dir():
            digest = _download(environment, version.name, str(version.version))
    except UnavailableError as error:
        if pinned is None or pinned.version is None:
            raise
        logger.warning("%s; %s stays version %s", error, address, pinned.version)
        return pinned.version, pinned.content
    return str(version.version), digest


def registered_model_folder(environment: Environment, pinned: NamedFile) -> Path:
    """The copy of a pinned model, verified by its SHA-256; it is fetched again if it is missing or damaged.

    Raises:
        UserError: if the artifact store no longer has that model, or does not answer.
    """
    folder = _copy_of(environment, pinned.content)
    if not _lock(folder) or folder_digest(folder) != pinned.content:
        name = pinned.name.removeprefix(PREFIX).partition("@")[0].partition("/")[0]
        digest = _download(environment, name, str(pinned.version))
        if digest != pinned.content:
            raise UserError(
                f"{PREFIX}{name}/{pinned.version} has SHA-256 {digest}, but {pinned.content} is pinned: "
                "if this is intended, accept it with `python -m flows.refresh`"
            )
        _lock(folder)
    return folder


def remove_unused_models(environment: Environment, pinned: Collection[str]) -> list[str]:
    """Remove the copies of models that are not pinned and that no running process uses; returns their SHA-256.

    Args:
        environment: where the work folder is.
        pinned: the SHA-256 of the models that are pinned.
    """
    parent, removed = _copy_of(environment, ""), []
    for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
        if folder.name.startswith("."):
            with suppress(FileNotFoundError):  # the download has just ended
                if time.time() - folder.stat().st_mtime > LEFTOVER_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        elif folder.name not in pinned and _remove_if_free(folder):
            removed.append(folder.name)
    return removed


def _lock(folder: Path) -> bool:
    """Keep others from removing a folder until this process ends; returns whether the folder exists."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    # Between these two lines, another process may have removed or replaced it.
    if folder.is_dir() and folder.stat().st_ino == os.fstat(descriptor).st_ino:
        _locked_folders.append(descriptor)
        return True
    os.close(descriptor)
    return _lock(folder)


def _remove_if_free(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed = Path(tempfile.mkdtemp(prefix=".removed-", dir=folder.parent))
        folder.rename(removed / folder.name)
        shutil.rmtree(removed, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _copy_of(environment: Environment, digest: str) -> Path:
    return environment.work_folder / "base-models" / digest


def _find(environment: Environment, address: str) -> "ModelVersion":
    """The version that an address names now."""
    from mlflow.exceptions import MlflowException

    name, at, alias = address.removeprefix(PREFIX).partition("@")
    number = ""
    if not at:
        name, _, number = name.rpartition("/")
    if not name or "/" in name or not (alias or number.isdigit()):
        raise UserError(f"{address!r} names no registered model: expected {PREFIX}NAME@ALIAS or {PREFIX}NAME/VERSION")
    try:
        client = Store(environment, Requests()).client
        found: ModelVersion = (
            client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
        )
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            raise UserError(f"{address}: the model registry has no such model ({one_line(error)})") from None
        raise _unavailable(environment, error) from None
    except OSError as error:
        raise _unavailable(environment, error) from None
    return found


def _download(environment: Environment, name: str, version: str) -> str:
    """Copy the model folder of a version to the work folder; returns its SHA-256."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    address = f"{PREFIX}{name}/{version}"
    parent = environment.work_folder / "base-models"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=parent) as temporary:
        try:
            Store(environment, Requests())  # sets the address of the registry
            artifacts = Path(download_artifacts(artifact_uri=address, dst_path=temporary))
        except (MlflowException, OSError) as error:
            raise _unavailable(environment, error) from None
        found = sorted(path.parent for path in artifacts.rglob(CONFIG))
        if len(found) != 1:
            raise UserError(f"{address} has {len(found)} folders with {CONFIG}, expected one: a model folder")
        digest = folder_digest(found[0])
        with atomic_folder(_copy_of(environment, digest)) as folder:
            shutil.copytree(found[0], folder, dirs_exist_ok=True)
    return digest


def _unavailable(environment: Environment, error: BaseException) -> UnavailableError:
    uri = without_password(environment.mlflow_tracking_uri)
    return UnavailableError(f"the model registry at {uri} does not answer ({one_line(error)}): start it and try again")
