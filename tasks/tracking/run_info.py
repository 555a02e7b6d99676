"""What is known about a run besides its metrics: as it is written to disk, and as it is sent to MLflow."""

import time
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

TAGS = (
    *("pipeline.id", "git.commit", "git.branch", "git.dirty", "dvc.stage", "dvc.experiment", "prefect.", "model."),
    *("machine.processor", "machine.cores", "machine.memory_gib", "gpu.count", "gpu.name"),
)
"""Prefixes of the lineage entries that become tags: MLflow shows tags in one long list."""


class Metric(NamedTuple):
    """The value of a metric at a step; the timestamp is in milliseconds since 1970."""

    name: str
    value: float
    timestamp: int
    step: int


class Dataset(BaseModel):
    """A dataset that a model is trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    digest: str
    profile: str
    """Its size, as JSON."""


class Continued(BaseModel):
    """An earlier training that a training continues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: str
    """The name of its checkpoint folder."""
    step: int
    """The step from which it is continued."""


class Outcome(BaseModel):
    """How a training ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["FINISHED", "FAILED", "KILLED"]
    end_time: int
    error: str | None = None
    folders: list[str] = []
    """Folders that hold the model or a copy of it, relative to the work folder."""
    digest: str | None = None
    """The hash of the model folder."""
    has_model: bool = True
    """Whether the folders hold a model; those of a comparison hold its table and figures."""


class RunInfo(BaseModel):
    """Everything about a run but its metrics; times are in milliseconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """The model's purpose: "language-model", "classifier" or "completion"."""
    family: str | None
    stage: str
    start_time: int
    lineage: dict[str, str]
    """Where the run comes from (:func:`tasks.context.lineage.lineage`)."""
    parameters: dict[str, Any]
    datasets: list[Dataset]
    base_digest: str | None = None
    """The hash of the model folder that the training starts from."""
    parent: str | None = None
    """The name of the local run of the comparison that this run is a part of."""
    resume_tags: dict[str, str] = {}
    """How often the training was resumed, and from which step the last time."""
    continued: Continued | None = None
    run_id: str | None = None
    """MLflow's id of the run, once MLflow has it."""
    outcome: Outcome | None = None
    is_synced: bool = False
    """Whether MLflow has everything, the outcome included."""

    @property
    def name(self) -> str:
        """The name of the MLflow run."""
        digest = self.outcome.digest[:8] if self.outcome and self.outcome.digest else None
        experiment = self.lineage.get("dvc.experiment")
        return " ".join(
            part for part in (self.model, self.family, digest, f"({experiment})" if experiment else None) if part
        )

    @property
    def tags(self) -> dict[str, str]:
        """The part of the lineage that people search and group by; the artifact ``lineage.json`` has all of it."""
        shown = {name: value for name, value in self.lineage.items() if name.startswith(TAGS)}
        model = {"model.name": self.model, "model.family": self.family, "model.base_digest": self.base_digest}
        return {**{name: value for name, value in model.items() if value}, **shown, **self.resume_tags}

    @property
    def is_kept(self) -> bool:
        """Whether the model is kept; one of a comparison is only measured, unless it is a separate experiment."""
        return self.parent is None or "dvc.experiment" in self.lineage

    @property
    def is_finished(self) -> bool:
        """Whether the training has produced its model."""
        return self.outcome is not None and self.outcome.status == "FINISHED"


def now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)
