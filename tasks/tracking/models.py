"""Model folders as MLflow models: loadable and servable anywhere, in the registry under the name of their kind."""

import contextlib
import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

import lmcore
from tasks.tracking.description import headline, size_of
from tasks.tracking.interfaces import Interface, interface_of
from tasks.tracking.record import RunRecord
from tasks.tracking.store import Store, upload_seconds

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

# What the served code imports, pinned as installed; everything they need in turn, pip finds.
REQUIREMENTS = ("mlflow", "numpy", "pandas", "psutil", "pydantic", "rich", "safetensors", "tokenizers", "torch")


def log_model(store: Store, run_id: str, folder: Path, digest: str, record: RunRecord) -> None:
    """Log the model folder to a run and register it.

    What is there already (an equal model was trained before) stays as it is; what an interrupted attempt has left
    unfinished is finished.
    """
    interface = interface_of(folder)
    model_id = find_logged_model(store, run_id, digest) or _log_model(store, run_id, folder, digest, record, interface)
    _register(store, run_id, model_id, folder, digest, record, interface)


def find_logged_model(store: Store, run_id: str, digest: str) -> str | None:
    """The model of this content that the run has, if it has been logged completely."""
    outputs = store.client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else ():
        logged = store.client.get_logged_model(output.model_id)
        if logged.tags.get("model.digest") == digest and str(logged.status) == "READY":
            return str(logged.model_id)
    return None


def version_of(store: Store, digest: str) -> "ModelVersion | None":
    """The registry's version of the model with this content."""
    versions = store.client.search_model_versions(f"tags.`model.digest` = '{digest}'")
    return versions[0] if versions else None


def describe_version(store: Store, version: "ModelVersion", run: "Run") -> None:
    """Write into the registry how good a version is, beside what it is."""
    what = (version.description or "").partition("\n\n")[0]
    store.client.update_model_version(version.name, version.version, f"{what}\n\n{headline(run)}")


def _log_model(store: Store, run_id: str, folder: Path, digest: str, record: RunRecord, interface: Interface) -> str:
    from mlflow.entities import LoggedModelOutput

    logged = _begun_model(store, run_id, digest) or store.client.create_logged_model(
        store.experiment_id,
        name=interface.name,
        source_run_id=run_id,
        tags={"model.digest": digest},
        params=dict(store.client.get_run(run_id).data.params),
        model_type=interface.name,
    )
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary) / "model"
        _write_model(files, folder, digest, interface, run_id, logged)
        with store.calls.call(upload_seconds(files)):
            store.client.log_model_artifacts(logged.model_id, str(files))
    store.client.finalize_logged_model(logged.model_id, "READY")
    store.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _begun_model(store: Store, run_id: str, digest: str) -> "LoggedModel | None":
    """The model that an attempt which was interrupted has begun to log for the run."""
    models = store.client.search_logged_models(
        [store.experiment_id], f"tags.`model.digest` = '{digest}' AND source_run_id = '{run_id}'", max_results=1
    )
    return models[0] if models else None


def _write_model(
    files: Path, folder: Path, digest: str, interface: Interface, run_id: str, logged: "LoggedModel"
) -> None:
    import pandas
    from mlflow import pyfunc
    from mlflow.models import Model

    pyfunc.save_model(
        files,
        mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id),
        python_model=str(Path(__file__).with_name("serve.py")),
        artifacts={"model": str(folder)},
        code_paths=[str(Path(lmcore.__file__).parent)],
        signature=interface.signature,
        input_example=pandas.DataFrame({interface.column: [interface.example]}),
        pip_requirements=requirements(),
        metadata={"model.digest": digest},
    )
    # Loading a model for a check leaves compiled files behind, which differ from run to run.
    for cache in files.rglob("__pycache__"):
        shutil.rmtree(cache)


def requirements() -> list[str]:
    """The packages of a logged model as an index knows them: without what names a local build (``+cpu``)."""
    return [f"{name}=={Version(importlib.metadata.version(name)).public}" for name in REQUIREMENTS]


def _register(
    store: Store, run_id: str, model_id: str, folder: Path, digest: str, record: RunRecord, interface: Interface
) -> None:
    from mlflow.exceptions import MlflowException

    if version_of(store, digest):
        return
    with contextlib.suppress(MlflowException):  # it exists already
        store.client.create_registered_model(interface.name, description=interface.description)
    store.client.create_model_version(
        interface.name,
        f"models:/{model_id}",
        run_id,
        tags={"model.digest": digest, **({"model.family": record.family} if record.family else {})},
        description=_what_it_is(folder, record),
        model_id=model_id,
    )


def _what_it_is(folder: Path, record: RunRecord) -> str:
    """Family, size and data of a model in one sentence."""
    from lmcore.models.folder import read_description

    description = read_description(folder)
    training = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    data = ", ".join(f"{dataset.path} ({dataset.digest[:8]})" for dataset in record.datasets)
    parts = [
        f"{record.model} of family {description.model.family}, {size_of(description.model.model_dump())}",
        f"{training['n_parameters']:,} parameters" if "n_parameters" in training else "",
        f"{training['n_targets']:,} targets in training" if "n_targets" in training else "",
        f"trained on {data}" if data else "",
    ]
    return ", ".join(part for part in parts if part)
