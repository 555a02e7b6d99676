"""A trained model in MLflow: logged with a signature and the code that serves it, and registered.

There is one registered model per kind of model, so that its versions are interchangeable.
"""

import contextlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

import lmcore
from lmcore.training.record import TrainingRecord
from tasks.tracking.models.prompts import completion_prompt, link_prompts
from tasks.tracking.run_info import RunInfo
from tasks.tracking.store.client import Store, upload_seconds

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from tasks.tracking.models.interface import Interface

# The packages that serve.py and lmcore's generation and classification import; pip resolves their dependencies.
REQUIREMENTS = (
    "jinja2",
    "mlflow",
    "numpy",
    "pandas",
    "psutil",
    "pydantic",
    "rich",
    "safetensors",
    "tokenizers",
    "torch",
)
SHAPE = (
    *("order", "num_states", "num_hidden_layers", "encoder_layers", "decoder_layers", "hidden_size"),
    "max_position_embeddings",
)


def log_model(store: Store, run_id: str, folder: Path, digest: str, info: RunInfo) -> None:
    """Log a model folder to a run and register it; idempotent, even after an interrupted attempt."""
    from lmcore.models.folder import read_description  # imports PyTorch
    from tasks.tracking.models.interface import interface_of  # imports MLflow

    interface = interface_of(folder)
    model_id = find_logged_model(store, run_id, digest) or _upload(store, run_id, folder, digest, interface)
    if not find_version(store, digest):
        _register(store, run_id, model_id, folder, digest, info, interface)
    if (prompt_format := read_description(folder).prompt_format) is not None:
        link_prompts(store, run_id, completion_prompt(info.parameters, prompt_format.template))


def find_logged_model(store: Store, run_id: str, digest: str) -> str | None:
    """The id of the run's logged model with this digest, if its upload is complete."""
    outputs = store.client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else ():
        logged = store.client.get_logged_model(output.model_id)
        if logged.tags.get("model.digest") == digest and str(logged.status) == "READY":
            return str(logged.model_id)
    return None


def find_version(store: Store, digest: str) -> "ModelVersion | None":
    """The registered model version with this digest."""
    versions = store.client.search_model_versions(f"tags.`model.digest` = '{digest}'")
    return versions[0] if versions else None


def write_mlflow_model(files: Path, folder: Path, digest: str, run_id: str, logged: "LoggedModel") -> None:
    """Write a model folder as an MLflow model, with the code that serves it."""
    import pandas
    from mlflow import pyfunc
    from mlflow.models import Model

    from tasks.tracking.models.interface import interface_of

    interface = interface_of(folder)
    pyfunc.save_model(
        files,
        mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id),
        python_model=str(Path(__file__).with_name("serve.py")),
        artifacts={"model": str(folder)},
        code_paths=[str(Path(lmcore.__file__).parent)],
        signature=interface.signature,
        input_example=pandas.DataFrame({column: [example] for column, example in interface.examples.items()}),
        pip_requirements=requirements(),
        metadata={"model.digest": digest},
    )
    # MLflow loads the model to check it, which leaves compiled files that differ from run to run.
    for cache in files.rglob("__pycache__"):
        shutil.rmtree(cache)


def requirements() -> list[str]:
    """The installed versions of the required packages, without local labels (``+cpu``) that no index knows."""
    return [f"{name}=={Version(importlib.metadata.version(name)).public}" for name in REQUIREMENTS]


def _upload(store: Store, run_id: str, folder: Path, digest: str, interface: "Interface") -> str:
    from mlflow.entities import LoggedModelOutput

    unfinished = store.client.search_logged_models(
        [store.experiment_id], f"tags.`model.digest` = '{digest}' AND source_run_id = '{run_id}'", max_results=1
    )
    logged = (
        unfinished[0]
        if unfinished
        else store.client.create_logged_model(
            store.experiment_id,
            name=interface.name,
            source_run_id=run_id,
            tags={"model.digest": digest},
            params=dict(store.client.get_run(run_id).data.params),
            model_type=interface.name,
        )
    )
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary) / "model"
        write_mlflow_model(files, folder, digest, run_id, logged)
        with store.requests.request(upload_seconds(files)):
            store.client.log_model_artifacts(logged.model_id, str(files))
    store.client.finalize_logged_model(logged.model_id, "READY")
    store.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _register(
    store: Store, run_id: str, model_id: str, folder: Path, digest: str, info: RunInfo, interface: "Interface"
) -> None:
    from mlflow.exceptions import MlflowException

    from lmcore.models.folder import read_description

    with contextlib.suppress(MlflowException):  # the registered model exists already
        store.client.create_registered_model(interface.name, description=interface.description)
    config, record = read_description(folder).model, TrainingRecord.read(folder)
    datasets = ", ".join(f"{dataset.path} ({dataset.digest[:8]})" for dataset in info.datasets)
    about = (
        f"{info.model} of family {config.family}, {_shape(config.model_dump())}, {record.n_parameters:,} parameters, "
        f"{record.n_targets:,} targets in training{f', trained on {datasets}' if datasets else ''}"
    )
    store.client.create_model_version(
        interface.name,
        f"models:/{model_id}",
        run_id,
        tags={"model.digest": digest, **({"model.family": info.family} if info.family else {})},
        description=about,
        model_id=model_id,
    )


def _shape(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.removeprefix('n_').replace('_', ' ')} {config[key]:,}" for key in SHAPE if key in config)
