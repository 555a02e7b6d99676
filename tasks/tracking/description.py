"""What a person reads on a run's page: what was trained on what, how well, and how to get it back."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.tracking.record import interval_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MAX_FIGURES = 12
MAX_HEADLINES = 2
# What a person looks at as long as there is no evaluation.
TRAINING_FIGURES = ("validation/best_loss", "validation/loss", "train/loss", "train/tokens_per_second")
# On test documents that share no text with the training split; the ends of names, before those that do.
CLEAN = "_clean"
MEASURES = ("bits_per_byte", "pseudo_bits_per_byte", "bits_per_masked_token", "accuracy", "chrf", "perplexity", "bleu")
SIZES = (
    "order",
    "num_states",
    "num_hidden_layers",
    "encoder_layers",
    "decoder_layers",
    "hidden_size",
    "max_position_embeddings",
)


def describe(run: "Run", version: "ModelVersion | None", uri: str) -> str:
    """The page's Markdown for a run.

    Args:
        run: with what it has now.
        version: its model in the registry.
        uri: of the tracking store.
    """
    parts = [
        f"{headline(run)} {_origin(run)}.",
        _table(_names(run), run.data.metrics),
        _how_to_get_it_back(run.data.tags, version, uri),
    ]
    return "\n\n".join(part for part in parts if part)


def headline(run: "Run") -> str:
    """The first line, which is all that the page shows at first: which model, and how good it is."""
    tags, metrics = run.data.tags, run.data.metrics
    family = f" ({tags['model.family']})" if "model.family" in tags else ""
    name = f"**{tags.get('model.name', 'model')}**{family}"
    if "error" in tags:
        return f"{name}: {tags['error']};"
    figures = [f"{figure.partition('/')[2].replace('_', ' ')} **{_figure(figure, metrics)}**" for figure in _names(run)]
    return f"{name}: {', '.join(figures[:MAX_HEADLINES]) or 'no figures'};"


def size_of(config: Mapping[str, Any]) -> str:
    """The shape of a model in words, from its configuration."""
    return ", ".join(
        f"{name.removeprefix('n_').replace('_', ' ')} {config[name]:,}" for name in SIZES if name in config
    )


def number(value: float) -> str:
    """A figure as people write it: counts in full, everything else with four digits that count."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _names(run: "Run") -> list[str]:
    """The metrics that the page shows, the most telling first."""
    metrics = run.data.metrics
    measured = [name for name in metrics if name.startswith("test/") and not name.startswith("test/n_")]
    clean = [name for name in measured if name.endswith(CLEAN)]
    beside = [name for name in measured if not name.endswith(CLEAN)]
    compared = [name for name in metrics if name.startswith("versus/")]
    counted = [name for name in metrics if name.startswith("test/n_")]
    tested = sorted(clean, key=_rank) + sorted(beside, key=_rank) + compared + counted
    return [*tested[:MAX_FIGURES], *(name for name in TRAINING_FIGURES if name in metrics)]


def _rank(name: str) -> int:
    """Where a measure stands among those that models are compared by."""
    measure = name.removeprefix("test/").removesuffix(CLEAN)
    return MEASURES.index(measure) if measure in MEASURES else len(MEASURES)


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


def _table(names: list[str], metrics: dict[str, float]) -> str:
    rows = [f"| {name} | {_figure(name, metrics)} |" for name in names]
    return "\n".join(["| figure | value |", "|---|---|", *rows]) if rows else ""


def _figure(name: str, metrics: dict[str, float]) -> str:
    interval = interval_of(name, metrics)
    ends = "" if interval is None else f" ({number(interval[0])} to {number(interval[1])})"
    return f"{number(metrics[name])}{ends}"


def _how_to_get_it_back(tags: dict[str, str], version: "ModelVersion | None", uri: str) -> str:
    parts = [_model_commands(version, uri) if version else "", _source_commands(tags)]
    return "\n\n".join(["#### Restore it", *filter(None, parts)]) if any(parts) else ""


def _model_commands(version: "ModelVersion", uri: str) -> str:
    """What works in any folder in which the project's packages are installed."""
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
mlflow models serve --model-uri {address} --env-manager local
```"""


def _source_commands(tags: dict[str, str]) -> str:
    if "git.commit" not in tags:
        return ""
    lines = [f"git checkout {tags['git.commit']}"]
    if tags.get("git.dirty") == "true":
        lines.append("git apply changes.diff  # this run's artifact: uncommitted changes")
    stage = tags.get("dvc.stage")
    if stage:
        lines.append(f"dvc repro {stage}")
    commands = "\n".join(["```sh", *lines, "```"])
    cache = (
        "DVC restores the outputs from this folder's cache while it has them (until `dvc gc`); in a clone without "
        "that cache it trains again."
    )
    return f"Code, parameters and data, in the project folder:\n\n{commands}" + (f"\n\n{cache}" if stage else "")
