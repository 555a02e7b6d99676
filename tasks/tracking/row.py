"""What is known of a row: everything that MLflow will show about one model, as plain values."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

MAX_PARAMETER_CHARACTERS = 6000
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
    folder: str | None = None
    digest: str | None = None
    """Where the model is (absolute), and the hash of its content."""


class Row(_Value):
    """One model in training; ``run_id`` is its name in MLflow as soon as MLflow has heard of it."""

    model: str
    stage: str
    start_time: int
    """Milliseconds since 1970, as in MLflow."""
    tags: dict[str, str]
    parameters: dict[str, Any]
    datasets: list[Dataset]
    base_digest: str | None = None
    """The hash of the model that the training starts from, if there is one."""
    work_folder: str
    """Where the training keeps its checkpoints."""
    owner: dict[str, Any]
    """The process that trains."""
    run_id: str | None = None
    is_described: bool = False
    """Whether MLflow has all that is known before the training starts."""
    outcome: Outcome | None = None
    is_closed: bool = False
    """Whether MLflow knows the outcome."""

    @property
    def name(self) -> str:
        """What people read in the list of rows."""
        digest = f" {self.outcome.digest[:8]}" if self.outcome and self.outcome.digest else ""
        experiment = self.tags.get("dvc.experiment")
        return f"{self.model}{digest}{f' ({experiment})' if experiment else ''}"


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
