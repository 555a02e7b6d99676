"""What a person reads on a row's page: what was trained on what, how well, and how to get it back."""

from typing import TYPE_CHECKING

from tasks.tracking.row import interval_of

if TYPE_CHECKING:
    from mlflow.entities import Run

MAX_FIGURES = 12
MAX_HEADLINES = 2
# What a person looks at as long as there is no evaluation.
TRAINING_FIGURES = ("validation/best_loss", "validation/loss", "train/loss", "train/tokens_per_second")


def describe(run: "Run", version: str | None) -> str:
    """The page's Markdown for a row; ``version`` is that of its model in the registry."""
    metrics = run.data.metrics
    tested = [name for group in ("test/", "versus/") for name in metrics if name.startswith(group)]
    names = [*tested[:MAX_FIGURES], *(name for name in TRAINING_FIGURES if name in metrics)]
    parts = [
        f"{_headline(run, names)} {_origin(run)}.",
        _table(names, metrics),
        _how_to_get_it_back(run.data.tags, version),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(run: "Run", names: list[str]) -> str:
    """The first line, which is all that the page shows at first: which model, and how good it is."""
    tags, metrics = run.data.tags, run.data.metrics
    if "error" in tags:
        return f"**{tags['model.name']}**: {tags['error']};"
    figures = [f"{name.partition('/')[2].replace('_', ' ')} **{_figure(name, metrics)}**" for name in names]
    return f"**{tags['model.name']}**: {', '.join(figures[:MAX_HEADLINES]) or 'no figures'};"


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
    ends = "" if interval is None else f" ({interval[0]:,.4g} to {interval[1]:,.4g})"
    return f"{metrics[name]:,.4g}{ends}"


def _how_to_get_it_back(tags: dict[str, str], version: str | None) -> str:
    commands = [_source_commands(tags), _model_commands(tags["model.name"], version) if version else ""]
    return "\n\n".join(["#### Get it back", *filter(None, commands)]) if any(commands) else ""


def _source_commands(tags: dict[str, str]) -> str:
    if "git.commit" not in tags:
        return ""
    lines = [f"git checkout {tags['git.commit']}"]
    if tags.get("git.dirty") == "true":
        lines.append("git apply changes.diff  # this row's artifact: what was not committed")
    if "dvc.stage" in tags:
        lines.append(f"dvc repro {tags['dvc.stage']}  # takes what the cache has, computes the rest")
    return "\n".join(["```sh", *lines, "```"])


def _model_commands(model: str, version: str) -> str:
    return f"""```python
import mlflow
model = mlflow.pyfunc.load_model("models:/{model}/{version}")
```"""
