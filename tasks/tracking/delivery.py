"""Synchronizes MLflow with what is on disk about a run; idempotent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcore.errors import UserError
from tasks.tracking.description import describe
from tasks.tracking.journal import CHANGES_NAME, Journal
from tasks.tracking.models import describe_version, log_model, version_of
from tasks.tracking.record import Outcome, Point, metric_name
from tasks.tracking.store import MAX_METRICS, Store, chunks

# What of a training record people sort and compare models by.
RECORD_FIGURES = {
    "n_parameters": "train/n_parameters",
    "n_targets": "train/n_targets",
    "n_skipped_steps": "train/n_skipped_steps",
    "best_validation_loss": "validation/best_loss",
}


class Delivery:
    """What one connection to the store has delivered from a journal.

    The store itself is asked what it has, so that neither a kill nor a damaged file, an outage or another store makes
    a run, a figure or a model twice, or loses one.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store, self._journal = store, journal
        self.run_id = self._open_run()
        self._points = Points(store, self.run_id)
        self._n_seen = 0

    def bring_up(self) -> None:
        """Send all metrics that the store does not have."""
        new = self._journal.points[self._n_seen :]
        self._points.send(new)
        self._n_seen += len(new)

    def close(self) -> None:
        """Send the outcome as well: the model, or why there is none."""
        store, record = self._store, self._journal.record
        if record.outcome is None:
            raise UserError(f"the training of {self._journal.folder} has no outcome yet")
        if record.outcome.status != "FINISHED":
            # At once, since this process may be killed next.
            store.set_tags(self.run_id, {"error": record.outcome.error or ""})
            store.client.set_terminated(self.run_id, record.outcome.status, record.outcome.end_time)
        self.bring_up()
        if record.outcome.status == "FINISHED":
            self._close_with_model(record.outcome)
        store.client.update_run(self.run_id, name=record.name)
        refresh_description(store, self.run_id)
        if record.outcome.status == "FINISHED":
            # Last, so that a run that says FINISHED has everything.
            store.client.set_terminated(self.run_id, record.outcome.status, record.outcome.end_time)
        self._journal.update(is_closed=True)

    def _open_run(self) -> str:
        """The run of this journal, created if the store has none, and RUNNING while the training runs."""
        store, journal = self._store, self._journal
        known = journal.record.run_id
        run_id = known if known and store.has_run(known) else store.create_run(journal.record, journal.folder.name)
        if run_id != known:
            journal.update(run_id=run_id)
        store.describe_run(run_id, journal.record, journal.folder / CHANGES_NAME)
        run = store.client.get_run(run_id)
        store.set_tags(run_id, journal.record.tags)
        if journal.record.outcome is None and run.info.status != "RUNNING":
            store.client.update_run(run_id, status="RUNNING")
        if "error" in run.data.tags and not (journal.record.outcome and journal.record.outcome.error):
            store.client.delete_tag(run_id, "error")
        return run_id

    def _close_with_model(self, outcome: Outcome) -> None:
        store, folder = self._store, self._journal.model_folder()
        tags = {"model.digest": outcome.digest or ""}
        if folder is None:
            # Delivered late, after another training has replaced the model.
            where = ", ".join(Path(name).name for name in outcome.folders)
            tags["model.missing"] = f"no folder holds it any longer ({where}); the commands on this page recreate it"
        else:
            points = record_points(folder, self._journal.record.start_time, outcome.end_time)
            self._points.send(points)
            log_model(store, self.run_id, folder, outcome.digest or "", self._journal.record)
        store.set_tags(self.run_id, tags)


class Points:
    """The figures of a run, of which each has one value per step."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._known: dict[str, set[int]] = {}

    def send(self, points: Sequence[Point]) -> None:
        """Send those that the store does not have."""
        for some in chunks([point for point in points if self._is_new(point)], MAX_METRICS):
            self._store.log_points(self._run_id, some)
            for point in some:
                self._known[point.name].add(point.step)

    def _is_new(self, point: Point) -> bool:
        if point.name not in self._known:
            self._known[point.name] = self._store.steps_of(self._run_id, point.name)
        return point.step not in self._known[point.name]


def refresh_description(store: Store, run_id: str) -> None:
    """Write the texts of the run's page and of its model's version anew, from what the run now has."""
    run = store.client.get_run(run_id)
    digest = run.data.tags.get("model.digest")
    version = version_of(store, digest) if digest else None
    store.set_tags(run_id, {"mlflow.note.content": describe(run, version, store.shown_uri)})
    if version is not None:
        describe_version(store, version, run)


def record_points(folder: Path, start_time: int, end_time: int) -> list[Point]:
    """The figures of a model folder's training record: what people compare models by, and its curves."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    figures = [
        Point(figure, float(record[name]), start_time, 0) for name, figure in RECORD_FIGURES.items() if name in record
    ]
    return figures + _curves(record.get("history", []), end_time)


def _curves(history: Sequence[Mapping[str, Any]], end_time: int) -> list[Point]:
    return [
        Point(metric_name(name), float(value), end_time, int(figures["step"]))
        for figures in history
        for name, value in figures.items()
        if name != "step"
    ]
