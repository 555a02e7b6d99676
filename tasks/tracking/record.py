"""The record of a run: everything that MLflow shows about one model, as plain values."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

MAX_PARAMETER_CHARACTERS = 6000
TAGGED = (
    "pipeline.id",
    "git.commit",
    "git.branch",
    "git.dirty",
    "dvc.stage",
    "dvc.experiment",
    "prefect.",
    "machine.processor",
    "machine.cores",
    "machine.memory_gib",
    "gpu.count",
    "gpu.name",
    "model.",
)
"""Beginnings of the facts that become tags; MLflow's page shows the tags in one long list."""
INTERVAL_ENDS = ("low", "high")
# MLflow refuses names with any other character.
REFUSED_IN_NAMES = re.compile(r"[^\w\-. /:]")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(_Value):
    """Data that a model was trained on, known by its content."""

    path: str
    digest: str
    profile: str
    """What is worth knowing of its size, as JSON."""


class Outcome(_Value):
    """How a training ended."""

    status: Literal["FINISHED", "FAILED", "KILLED"]
    end_time: int
    error: str | None = None
    folders: list[str] = []
    """Where the model may be found, relative to the work folder."""
    digest: str | None = None
    """The hash of the model's content."""


class RunRecord(_Value):
    """One model in training."""

    model: str
    """What it is for: "language-model", "classifier" or "completion"."""
    family: str | None
    stage: str
    start_time: int
    """Milliseconds since 1970, as in MLflow."""
    facts: dict[str, str]
    """Where it comes from (:func:`tasks.context.lineage.lineage`)."""
    parameters: dict[str, Any]
    datasets: list[Dataset]
    base_digest: str | None = None
    """The hash of the model that the training starts from, if there is one."""
    resumes: dict[str, str] = {}
    """How often the training was interrupted and went on, and from where the last time."""
    run_id: str | None = None
    """Its name in MLflow, once MLflow has heard of it."""
    outcome: Outcome | None = None
    is_closed: bool = False
    """Whether MLflow knows the outcome."""

    @property
    def name(self) -> str:
        """The name in the list of runs."""
        digest = self.outcome.digest[:8] if self.outcome and self.outcome.digest else None
        experiment = self.facts.get("dvc.experiment")
        return " ".join(
            part for part in (self.model, self.family, digest, f"({experiment})" if experiment else None) if part
        )

    @property
    def tags(self) -> dict[str, str]:
        """The facts that people look at, search and group by; all of them are in the artifact ``lineage.json``."""
        shown = {name: value for name, value in self.facts.items() if name.startswith(TAGGED)}
        model = {"model.name": self.model, "model.family": self.family, "model.base_digest": self.base_digest}
        return {**{name: value for name, value in model.items() if value}, **shown, **self.resumes}


class Point(NamedTuple):
    """A figure at a step; ``timestamp`` in milliseconds since 1970."""

    name: str
    value: float
    timestamp: int
    step: int


def now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)


def metric_name(name: str) -> str:
    """The name under which MLflow draws a figure of the training: the part before ``/`` makes the group.

    ``validation_loss`` is ``validation/loss``, ``loss`` is ``train/loss``; a name with a group keeps it.
    """
    if "/" in name:
        return name
    return f"validation/{name.removeprefix('validation_')}" if name.startswith("validation_") else f"train/{name}"


def flatten_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Nested values as text under dotted names; what is too long for MLflow is cut and says so."""
    return {_safe_name(".".join(path)): _as_text(value) for path, value in _leaves(parameters)}


def flatten_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Nested figures in groups: ``test/`` for the model's own, ``versus/`` for those below another name.

    A figure with an interval (``value``, ``low``, ``high``) has its ends in ``with_interval/``. MLflow's page has the
    groups in alphabetical order: the model's own figures, its curves (``train``, ``validation``), and then the rest.
    """
    flat = {}
    for path, value in _leaves(metrics):
        if isinstance(value, int | float) and not isinstance(value, bool):
            names = path[:-1] if path[-1] == "value" else path
            flat[_safe_name(f"{_group(names)}/{'_'.join(names)}")] = float(value)
    return flat


def interval_of(name: str, metrics: Mapping[str, float]) -> tuple[float, float] | None:
    """The ends of the interval of an evaluation's figure, if it has one."""
    low, high = (metrics.get(f"with_interval/{name.partition('/')[2]}_{end}") for end in INTERVAL_ENDS)
    return None if low is None or high is None else (low, high)


def _group(names: tuple[str, ...]) -> str:
    if names[-1] in INTERVAL_ENDS:
        return "with_interval"
    return "test" if len(names) == 1 else "versus"


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in values.items():
        here = (*path, str(name))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield here, value


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= MAX_PARAMETER_CHARACTERS:
        return text
    note = f" … ({len(text):,} characters, whole in parameters.json)"
    return text[: MAX_PARAMETER_CHARACTERS - len(note)] + note


def _safe_name(name: str) -> str:
    return REFUSED_IN_NAMES.sub("_", name)[:250]
