"""Model folders as MLflow models: loadable and servable anywhere, in the registry under the model's name."""

import contextlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import lmcore
from tasks.tracking.interfaces import Interface, interface_of
from tasks.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

# What the served code imports, pinned as installed; everything they need in turn, pip finds.
REQUIREMENTS = ("mlflow", "numpy", "pandas", "psutil", "pydantic", "rich", "safetensors", "tokenizers", "torch")


def log_model(store: Store, run_id: str, model: str, folder: Path, digest: str) -> str:
    """Log the model folder to a row and register it; answers the id of the logged model.

    What is there already (an earlier attempt was interrupted, or an equal model was trained before) stays as it is.
    """
    interface = interface_of(folder)
    model_id = find_logged_model(store, run_id, digest)
    if model_id is None:
        model_id = _log_model(store, run_id, model, folder, digest, interface)
    _register(store, run_id, model, model_id, digest, interface.description)
    return model_id


def find_logged_model(store: Store, run_id: str, digest: str) -> str | None:
    """The model of this content that the row has, if it has been logged completely."""
    outputs = store.client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else ():
        logged = store.client.get_logged_model(output.model_id)
        if logged.tags.get("model.digest") == digest and str(logged.status) == "READY":
            return str(logged.model_id)
    return None


def version_of(store: Store, model: str, digest: str) -> str | None:
    """The registry's version of the model with this content."""
    versions = store.client.search_model_versions(f"name = '{model}' AND tags.`model.digest` = '{digest}'")
    return str(versions[0].version) if versions else None


def _log_model(store: Store, run_id: str, model: str, folder: Path, digest: str, interface: Interface) -> str:
    from mlflow.entities import LoggedModelOutput

    logged = store.client.create_logged_model(
        store.experiment_id,
        name=model,
        source_run_id=run_id,
        tags={"model.digest": digest},
        params=dict(store.client.get_run(run_id).data.params),
        model_type=model,
    )
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as temporary:
            files = Path(temporary) / "model"
            _write_model(files, folder, digest, interface, run_id, logged)
            store.client.log_model_artifacts(logged.model_id, str(files))
        status = "READY"
    finally:
        store.client.finalize_logged_model(logged.model_id, status)
    store.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


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
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS],
        metadata={"model.digest": digest},
    )
    # Loading a model for a check leaves compiled files behind, which differ from run to run.
    for cache in files.rglob("__pycache__"):
        shutil.rmtree(cache)


def _register(store: Store, run_id: str, model: str, model_id: str, digest: str, description: str) -> None:
    from mlflow.exceptions import MlflowException

    if version_of(store, model, digest):
        return
    with contextlib.suppress(MlflowException):  # it exists already
        store.client.create_registered_model(model, description=description)
    store.client.create_model_version(
        model, f"models:/{model_id}", run_id, tags={"model.digest": digest}, model_id=model_id
    )
