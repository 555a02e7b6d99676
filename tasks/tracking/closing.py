"""Brings the end of a training to its row: the model, or why there is none."""

import json
from pathlib import Path

from lmcore.files import folder_digest
from tasks.tracking.courier import deliver
from tasks.tracking.description import describe
from tasks.tracking.journal import Journal
from tasks.tracking.models import log_model, version_of
from tasks.tracking.row import Outcome, Point
from tasks.tracking.store import Store

# What of a training record people sort and compare models by.
RECORD_FIGURES = {
    "n_parameters": "train/n_parameters",
    "n_targets": "train/n_targets",
    "n_skipped_steps": "train/n_skipped_steps",
    "best_validation_loss": "validation/best_loss",
}


def close(store: Store, journal: Journal) -> None:
    """Deliver the rest of a journal and its outcome; may be repeated after a failure."""
    outcome = journal.row.outcome
    if outcome is None:
        raise ValueError(f"the training of {journal.folder} has no outcome yet")
    run_id = deliver(store, journal)
    tags = {"error": outcome.error} if outcome.error else {}
    if outcome.folder and outcome.digest:
        tags |= _close_with_model(store, run_id, journal.row.model, outcome)
    store.set_tags(run_id, tags)
    store.client.update_run(run_id, name=journal.row.name)
    refresh_description(store, run_id)
    # Last, so that a row that says FINISHED has everything.
    store.client.set_terminated(run_id, outcome.status, outcome.end_time)
    journal.update(is_closed=True)


def close_orphan(store: Store, journal: Journal) -> None:
    """Close the row of a process that has gone without a word: KILLED, at the time of its last sign of life."""
    if journal.row.run_id and not store.has_row(journal.row.run_id):
        journal.update(is_closed=True)  # someone has deleted the row: that counts
        return
    if journal.row.outcome is None:
        process = journal.row.owner["pid"]
        journal.update(
            outcome=Outcome(
                status="KILLED",
                end_time=journal.last_sign_of_life(),
                error=f"killed: process {process} ended without a word",
            )
        )
    close(store, journal)


def refresh_description(store: Store, run_id: str) -> None:
    """Write the row's page anew from what the row now has."""
    run = store.client.get_run(run_id)
    digest = run.data.tags.get("model.digest")
    version = version_of(store, run.data.tags["model.name"], digest) if digest else None
    store.set_tags(run_id, {"mlflow.note.content": describe(run, version)})


def record_points(folder: Path, timestamp: int) -> list[Point]:
    """The most telling numbers of a model folder's training record, as figures."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return [
        Point(figure, float(record[name]), timestamp, 0) for name, figure in RECORD_FIGURES.items() if name in record
    ]


def _close_with_model(store: Store, run_id: str, model: str, outcome: Outcome) -> dict[str, str]:
    folder, digest = Path(outcome.folder or ""), outcome.digest or ""
    tags = {"model.digest": digest}
    if not folder.is_dir() or folder_digest(folder) != digest:
        # Delivered late, after another training has replaced the model.
        return tags | {"model.missing": f"{folder} no longer holds it; the commands on this page bring it back"}
    store.log_points(run_id, record_points(folder, outcome.end_time))
    log_model(store, run_id, model, folder, digest)
    return tags
