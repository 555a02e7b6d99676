"""The description on the page of a run and of its model version: quality, origin, and how to restore the model."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.tracking.models.model import find_version
from tasks.tracking.store.client import Store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MAX_METRICS_SHOWN = 12
MAX_HEADLINE_METRICS = 2
TRAINING_METRICS = ("validation/best_loss", "validation/loss", "train/loss", "train/tokens_per_second")
"""Shown after the evaluation's metrics."""
MEASURES = ("bits_per_byte", "pseudo_bits_per_byte", "bits_per_masked_token", "accuracy", "chrf", "perplexity", "bleu")
"""The measures by which models are compared, the most important first."""
CLEAN = "_clean"
"""The suffix of measures on test documents that share no text with the training split; they are shown first."""


def refresh_description(store: Store, run_id: str) -> None:
    """Rewrite the description of a run and of its model version from what MLflow has."""
    run = store.client.get_run(run_id)
    digest = run.data.tags.get("model.digest")
    version = find_version(store, digest) if digest else None
    store.client.set_tag(run_id, "mlflow.note.content", describe(run, version, store.shown_uri))
    if version is not None:
        about = (version.description or "").partition("\n\n")[0]
        store.client.update_model_version(version.name, version.version, f"{about}\n\n{headline(run)}")


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
