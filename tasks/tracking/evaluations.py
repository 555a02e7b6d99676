"""Evaluations of models: first on disk, then in the row of the model, which is found by the model's content."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from lmcore.files import atomic_folder, folder_digest
from tasks.lineage import git_facts, lock_file_facts, uncommitted_changes
from tasks.process import ProcessIdentity
from tasks.tracking.closing import record_points, refresh_description
from tasks.tracking.journal import CHANGES_NAME, is_free
from tasks.tracking.models import find_logged_model, log_model
from tasks.tracking.row import Outcome, Point, Row, flatten_metrics, metric_name, now
from tasks.tracking.store import Store

ARTIFACTS = "evaluation"


class Evaluation(BaseModel):
    """How good a model is; ``folder`` is absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    folder: str
    digest: str
    time: int
    """Milliseconds since 1970."""
    figures: dict[str, float]
    owner: dict[str, Any]


def keep_evaluation(
    folder: Path, model: str, model_folder: Path, metrics: Mapping[str, Any], artifacts: Sequence[Path]
) -> None:
    """Keep an evaluation, with copies of its artifacts, until the store has it."""
    evaluation = Evaluation(
        model=model,
        folder=str(model_folder.absolute()),
        digest=folder_digest(model_folder),
        time=now(),
        figures=flatten_metrics(metrics),
        owner=ProcessIdentity.current().as_json(),
    )
    with atomic_folder(folder / f"evaluation-{model}-{evaluation.digest[:16]}") as entry:
        (entry / ARTIFACTS).mkdir()
        for artifact in artifacts:
            (shutil.copytree if artifact.is_dir() else shutil.copyfile)(artifact, entry / ARTIFACTS / artifact.name)
        (entry / CHANGES_NAME).write_bytes(uncommitted_changes(Path.cwd()))
        (entry / "evaluation.json").write_text(evaluation.model_dump_json(indent=2), encoding="utf-8")


def waiting_evaluations(folder: Path) -> list[Path]:
    """Evaluations that the store does not have, and that no other process is about to deliver."""
    return [
        entry.parent
        for entry in sorted(folder.glob("evaluation-*/evaluation.json"))
        if is_free(_read(entry.parent).owner, True)
    ]


def deliver_evaluation(store: Store, entry: Path) -> None:
    """Add an evaluation to the row of its model, and forget it here."""
    evaluation = _read(entry)
    run_id = _find_row(store, evaluation) or _make_row(store, evaluation, entry / CHANGES_NAME)
    known = store.client.get_run(run_id).data.metrics
    points = [
        Point(name, value, evaluation.time, 0) for name, value in evaluation.figures.items() if known.get(name) != value
    ]
    store.log_points(run_id, points, find_logged_model(store, run_id, evaluation.digest))
    if (entry / ARTIFACTS).is_dir():
        store.client.log_artifacts(run_id, str(entry / ARTIFACTS), ARTIFACTS)
    refresh_description(store, run_id)
    shutil.rmtree(entry)


def _read(entry: Path) -> Evaluation:
    return Evaluation.model_validate_json((entry / "evaluation.json").read_text(encoding="utf-8"))


def _find_row(store: Store, evaluation: Evaluation) -> str | None:
    """The newest row whose model has this content."""
    condition = f"tags.`model.digest` = '{evaluation.digest}' AND tags.`model.name` = '{evaluation.model}'"
    runs = store.client.search_runs(
        [store.experiment_id], condition, max_results=1, order_by=["attributes.start_time DESC"]
    )
    return str(runs[0].info.run_id) if runs else None


def _make_row(store: Store, evaluation: Evaluation, changes: Path) -> str:
    """A row for a model whose training this store has not seen (it came from DVC's cache), as far as it is known."""
    from lmcore.models.folder import read_description

    folder = Path(evaluation.folder)
    if folder_digest(folder) != evaluation.digest:
        raise ValueError(f"{folder} has changed since its evaluation, and no row has the model that was evaluated")
    row = Row(
        model=evaluation.model,
        stage="evaluate",
        start_time=evaluation.time,
        tags={
            **git_facts(Path.cwd()),
            **lock_file_facts(Path.cwd()),
            "model.digest": evaluation.digest,
            "model.origin": "trained elsewhere or before this store began; curves and sizes are from its record",
        },
        parameters=read_description(folder).model_dump(mode="json", exclude_none=True),
        datasets=[],
        work_folder="",
        owner=evaluation.owner,
        outcome=Outcome(status="FINISHED", end_time=evaluation.time, digest=evaluation.digest),
    )
    run_id = store.create_row(row)
    store.describe_row(run_id, row, changes)
    store.log_points(run_id, record_points(folder, evaluation.time) + _recorded_curves(folder, evaluation.time))
    log_model(store, run_id, evaluation.model, folder, evaluation.digest)
    store.client.set_terminated(run_id, "FINISHED", evaluation.time)
    return run_id


def _recorded_curves(folder: Path, timestamp: int) -> list[Point]:
    history = json.loads((folder / "record.json").read_text(encoding="utf-8")).get("history", [])
    return [
        Point(metric_name(name), float(value), timestamp, int(figures["step"]))
        for figures in history
        for name, value in figures.items()
        if name != "step"
    ]
