"""A trained model in MLflow: logged with a signature, registered, and described on its run's page.

There is one registered model per kind of model, so that its versions are interchangeable.
"""

import contextlib
import importlib.metadata
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

import lmcore
from lmcore.training.record import TrainingRecord
from tasks.tracking.client import Store, upload_seconds
from tasks.tracking.local_run import RunInfo
from tasks.tracking.prompts import completion_prompt, link_prompts

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

    from tasks.tracking.serve import Interface

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
MAX_METRICS_SHOWN = 12
MAX_HEADLINE_METRICS = 2
TRAINING_METRICS = ("validation/best_loss", "validation/loss", "train/loss", "train/tokens_per_second")
"""Shown after the evaluation's metrics."""
MEASURES = ("bits_per_byte", "pseudo_bits_per_byte", "bits_per_masked_token", "accuracy", "chrf", "perplexity", "bleu")
"""The measures by which models are compared, the most important first."""
CLEAN = "_clean"
"""The suffix of measures on test documents that share no text with the training split; they are shown first."""
SHAPE = (
    *("order", "num_states", "num_hidden_layers", "encoder_layers", "decoder_layers", "hidden_size"),
    "max_position_embeddings",
)


def log_model(store: Store, run_id: str, folder: Path, digest: str, info: RunInfo) -> None:
    """Log a model folder to a run and register it; idempotent, even after an interrupted attempt."""
    from lmcore.models.folder import read_description  # imports PyTorch
    from tasks.tracking.serve import interface_of  # imports MLflow

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


def refresh_description(store: Store, run_id: str) -> None:
    """Rewrite the description of a run and of its model version from what MLflow has."""
    run = store.client.get_run(run_id)
    digest = run.data.tags.get("model.digest")
    version = find_version(store, digest) if digest else None
    store.client.set_tag(run_id, "mlflow.note.content", describe(run, version, store.shown_uri))
    if version is not None:
        about = (version.description or "").partition("\n\n")[0]
        store.client.update_model_version(version.name, version.version, f"{about}\n\n{headline(run)}")


def write_mlflow_model(files: Path, folder: Path, digest: str, run_id: str, logged: "LoggedModel") -> None:
    """Write a model folder as an MLflow model, with the code that serves it."""
    import pandas
    from mlflow import pyfunc
    from mlflow.models import Model

    from tasks.tracking.serve import interface_of

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


def describe(run: "Run", version: "ModelVersion | None", uri: str) -> str:
    """The Markdown description on a run's page: quality, origin, and the commands that restore the model.

    Args:
        run: the run with its metrics and tags.
        version: its registered model version.
        uri: the address of the tracking store.
    """
    metrics = run.data.metrics
    lines = [f"| {name} | {_with_interval(name, metrics)} |" for name in _shown_metrics(run)]
    table = "\n".join(["| metric | value |", "|---|---|", *lines]) if lines else ""
    commands = [_load_commands(version, uri) if version else "", _reproduce_commands(run.data.tags)]
    restore = "\n\n".join(["#### Restore it", *filter(None, commands)]) if any(commands) else ""
    return "\n\n".join(part for part in (f"{headline(run)} {_origin(run)}.", table, restore) if part)


def headline(run: "Run") -> str:
    """The model and its main metrics, or the error: the line that the UI shows before the description is opened."""
    tags = run.data.tags
    family = f" ({tags['model.family']})" if "model.family" in tags else ""
    name = f"**{tags.get('model.name', 'model')}**{family}"
    if "error" in tags:
        return f"{name}: {tags['error']};"
    shown = [
        f"{metric.partition('/')[2].replace('_', ' ')} **{_with_interval(metric, run.data.metrics)}**"
        for metric in _shown_metrics(run)[:MAX_HEADLINE_METRICS]
    ]
    return f"{name}: {', '.join(shown) or 'no metrics'};"


def format_number(value: float) -> str:
    """A number as shown to users: integers in full, other numbers with four significant digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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


def _shown_metrics(run: "Run") -> list[str]:
    """The metrics in the description, the most important first."""
    metrics = run.data.metrics
    counts = [name for name in metrics if name.startswith("test/n_")]
    tested = [name for name in metrics if name.startswith("test/") and name not in counts]
    tested.sort(key=lambda name: (not name.endswith(CLEAN), _rank(name)))
    compared = [name for name in metrics if name.startswith("versus/")]
    evaluation = [*tested, *compared, *counts][:MAX_METRICS_SHOWN]
    return evaluation + [name for name in TRAINING_METRICS if name in metrics]


def _rank(name: str) -> int:
    measure = name.removeprefix("test/").removesuffix(CLEAN)
    return MEASURES.index(measure) if measure in MEASURES else len(MEASURES)


def _with_interval(name: str, metrics: Mapping[str, float]) -> str:
    low, high = (metrics.get(f"with_interval/{name.partition('/')[2]}_{end}") for end in ("low", "high"))
    interval = "" if low is None or high is None else f" ({format_number(low)} to {format_number(high)})"
    return f"{format_number(metrics[name])}{interval}"


def _origin(run: "Run") -> str:
    tags = run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    datasets = ", ".join(f"`{item.dataset.name}`" for item in inputs)
    machine = tags.get("gpu.name") or tags.get("machine.processor")
    parts = [
        f"trained on {datasets}" if datasets else "trained",
        f"from the model `{tags['model.base_digest'][:8]}`" if "model.base_digest" in tags else "",
        f"in stage `{tags['dvc.stage']}`" if "dvc.stage" in tags else "",
        f"of experiment `{tags['dvc.experiment']}`" if "dvc.experiment" in tags else "",
        f"on {machine}, {tags['machine.cores']} cores" if machine else "elsewhere",
    ]
    return " ".join(part for part in parts if part)


def _load_commands(version: "ModelVersion", uri: str) -> str:
    address = f"models:/{version.name}/{version.version}"
    return f"""Load or serve the model, from any folder:

```python
import os
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow
mlflow.set_tracking_uri({uri!r})
model = mlflow.pyfunc.load_model({address!r})
```

```sh
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_TRACKING_URI={shlex.quote(uri)}
mlflow models serve --model-uri {address} --env-manager local --port 5001
```"""


def _reproduce_commands(tags: Mapping[str, str]) -> str:
    if "git.commit" not in tags:
        return ""
    lines, stage = [f"git checkout {tags['git.commit']}"], tags.get("dvc.stage")
    if tags.get("git.dirty") == "true":
        lines.append("git apply changes.diff  # this run's artifact: uncommitted changes")
    if stage:
        lines.append(f"dvc repro {stage}")
    commands = "\n".join(["```sh", *lines, "```"])
    cache = (
        "DVC restores the outputs from this folder's cache while it has them (until `dvc gc`); in a clone without "
        "that cache it trains again."
    )
    return f"Code, parameters and data, in the project folder:\n\n{commands}" + (f"\n\n{cache}" if stage else "")
