"""Evaluations of models: first on disk, then in the run of the model, which is found by the model's content."""

import json
import logging
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from lmcore.errors import UserError
from lmcore.runtime.damaged_files import DAMAGED, set_aside
from lmcore.runtime.files import atomic_folder, folder_digest
from tasks.context.lineage import git_facts, lock_file_facts, uncommitted_changes
from tasks.context.sealed import discard, read_sealed, write_sealed
from tasks.tracking.delivery import Points, record_points, refresh_description
from tasks.tracking.journal import CHANGES_NAME, LOCK_NAME, Lock
from tasks.tracking.models import find_logged_model, log_model
from tasks.tracking.record import Outcome, Point, RunRecord, flatten_metrics, now
from tasks.tracking.store import Store

logger = logging.getLogger(__name__)

ARTIFACTS = "evaluation"
FILE_NAME = "evaluation.json"
MAX_TABLE_ROWS = 200


class Evaluation(BaseModel):
    """How good a model is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    folder: str
    """Where the model is, relative to the work folder."""
    digest: str
    time: int
    """Milliseconds since 1970."""
    figures: dict[str, float]


def keep_evaluation(
    folder: Path, model: str, model_folder: Path, metrics: Mapping[str, Any], artifacts: Sequence[Path]
) -> None:
    """Keep an evaluation, with copies of its artifacts, until the store has it."""
    evaluation = Evaluation(
        model=model,
        folder=os.path.relpath(model_folder.absolute(), folder.parent),
        digest=folder_digest(model_folder),
        time=now(),
        figures=flatten_metrics(metrics),
    )
    with atomic_folder(folder / f"evaluation-{model}-{evaluation.digest[:16]}") as entry:
        (entry / ARTIFACTS).mkdir()
        for artifact in artifacts:
            _copy(artifact, entry / ARTIFACTS)
        (entry / CHANGES_NAME).write_bytes(uncommitted_changes(Path.cwd()))
        write_sealed(entry / FILE_NAME, evaluation)


def waiting_evaluations(folder: Path) -> list[Path]:
    """The folders of evaluations that the store does not have."""
    return sorted(entry for entry in folder.glob("evaluation-*") if DAMAGED not in entry.name)


def deliver_evaluation(store: Store, entry: Path, coming: Collection[str]) -> None:
    """Add an evaluation to the run of its model, and forget it here.

    One that another process delivers is left alone, and so is one whose model's run is still ``coming`` (digests);
    a damaged one is set aside.
    """
    lock = Lock(entry / LOCK_NAME)
    if not lock.take():
        return
    try:
        evaluation = read_sealed(entry / FILE_NAME, Evaluation)
    except (FileNotFoundError, ValueError) as error:
        set_aside(entry, error)
        logger.warning("`dvc repro --force --single-item evaluate` repeats the evaluation")
        return
    else:
        if evaluation.digest not in coming:
            _deliver(store, evaluation, entry)
            discard(entry)
    finally:
        lock.release()


def _deliver(store: Store, evaluation: Evaluation, entry: Path) -> None:
    condition = f"tags.`model.digest` = '{evaluation.digest}' AND tags.`model.name` = '{evaluation.model}'"
    run_id = store.find_run(condition) or _make_run(store, evaluation, entry)
    known = store.client.get_run(run_id).data.metrics
    points = [
        Point(name, value, evaluation.time, 0) for name, value in evaluation.figures.items() if known.get(name) != value
    ]
    store.log_points(run_id, points, find_logged_model(store, run_id, evaluation.digest))
    if (entry / ARTIFACTS).is_dir():
        store.log_files(run_id, entry / ARTIFACTS, ARTIFACTS)
    refresh_description(store, run_id)


def _copy(artifact: Path, folder: Path) -> None:
    """Copy a file or folder, and what MLflow's page does not show well a second time as it does."""
    if artifact.is_dir():
        shutil.copytree(artifact, folder / artifact.name)
        return
    shutil.copyfile(artifact, folder / artifact.name)
    if artifact.suffix == ".md":
        text = artifact.read_text(encoding="utf-8")
        (folder / artifact.name).write_text(_with_fenced_header(text), encoding="utf-8")
    if artifact.suffix == ".json":
        rows = json.loads(artifact.read_text(encoding="utf-8"))
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            (folder / artifact.name).with_suffix(".md").write_text(_as_sections(rows), encoding="utf-8")


def _with_fenced_header(text: str) -> str:
    """A Markdown text whose YAML header is shown as it is, and not taken for a list."""
    parts = text.split("---\n", 2)
    return f"```yaml\n{parts[1]}```\n{parts[2]}" if text.startswith("---\n") and len(parts) == 3 else text


def _as_sections(rows: list[dict[str, Any]]) -> str:
    """Rows of a JSON file as Markdown that keeps line breaks."""
    sections = [
        "\n\n".join(
            [f"#### {number}", *(f"**{name}**\n\n{_quoted(value)}" for name, value in row.items() if value is not None)]
        )
        for number, row in enumerate(rows[:MAX_TABLE_ROWS], start=1)
    ]
    return "\n\n".join(sections) + "\n"


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Longer than any fence in the text itself.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _make_run(store: Store, evaluation: Evaluation, entry: Path) -> str:
    """A run for a model whose training this store has not seen (it came from DVC's cache), as far as it is known."""
    from lmcore.models.folder import read_description

    folder = entry.parent.parent / evaluation.folder
    if folder_digest(folder) != evaluation.digest:
        raise UserError(f"{folder} has changed since its evaluation, and no run has the model that was evaluated")
    description = read_description(folder)
    record = RunRecord(
        model=evaluation.model,
        family=description.model.family,
        stage="evaluate",
        start_time=evaluation.time,
        facts={
            **git_facts(Path.cwd()),
            **lock_file_facts(Path.cwd()),
            "model.origin": "trained elsewhere or before this store began; curves and sizes are from its record",
        },
        parameters=description.model_dump(mode="json", exclude_none=True),
        datasets=[],
        outcome=Outcome(status="FINISHED", end_time=evaluation.time, digest=evaluation.digest),
    )
    run_id = store.create_run(record, f"model {evaluation.digest[:32]}")
    store.describe_run(run_id, record, entry / CHANGES_NAME)
    Points(store, run_id).send(record_points(folder, evaluation.time, evaluation.time))
    log_model(store, run_id, folder, evaluation.digest, record)
    store.set_tags(run_id, {"model.digest": evaluation.digest})
    store.client.set_terminated(run_id, "FINISHED", evaluation.time)
    return run_id
