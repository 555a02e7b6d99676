"""A run on disk: everything that MLflow shows about a training, kept until MLflow has it.

A training writes here and never waits for MLflow. :mod:`tasks.tracking.projection` brings MLflow up to date with it,
so neither a killed training nor a server that does not answer loses or duplicates anything. Each run has a folder
below ``tracking/`` in the work folder, with ``run.json``, ``metrics.jsonl`` and ``changes.diff`` (uncommitted changes).
"""

import contextlib
import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import folder_digest
from tasks.context.sealed import discard, read_sealed, seal, unseal, write_sealed
from tasks.tracking.run_info import Metric, Outcome, RunInfo, now

logger = logging.getLogger(__name__)

INFO_NAME, METRICS_NAME, CHANGES_NAME, LOCK_NAME = "run.json", "metrics.jsonl", "changes.diff", "lock"
FOLDER_NAME = re.compile(r"\d{13}-.+")


class Lock:
    """A file lock that is held until it is released or its process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Try to get the lock without waiting; false if another process has it, or the folder is gone."""
        with contextlib.suppress(FileNotFoundError):
            file = self._path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The previous owner may have removed the folder meanwhile.
                is_same_file = self._path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except (BlockingIOError, FileNotFoundError):
                is_same_file = False
            if is_same_file:
                self._file = file
            else:
                file.close()
            return is_same_file
        return False

    def release(self) -> None:
        """Release the lock."""
        if self._file:
            self._file.close()
            self._file = None


class LocalRun:
    """The folder of one run; ``run.json`` and every line of ``metrics.jsonl`` have a checksum.

    The folder is named after the start time and the training's checkpoint folder, so a resumed training finds its run
    even if ``run.json`` is damaged. One thread logs metrics, another reads them; both may :meth:`update`.
    """

    def __init__(self, folder: Path, lock: Lock) -> None:
        self.folder, self.lock = folder, lock
        self.info = read_sealed(folder / INFO_NAME, RunInfo)
        self.metrics: list[Metric] = []
        """All metrics, in the order in which they were logged."""
        self._steps: dict[str, set[int]] = {}
        self._update_lock = threading.Lock()
        self._metrics_path = folder / METRICS_NAME
        self._has_partial_line = False
        self._has_write_error = False
        self._read_metrics()

    @classmethod
    def create(cls, folder: Path, info: RunInfo, changes: bytes) -> Self:
        """Create the folder of a new run; ``changes`` is the patch of uncommitted changes, which may be empty."""
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / LOCK_NAME)
        lock.acquire()
        if changes:
            (folder / CHANGES_NAME).write_bytes(changes)
        write_sealed(folder / INFO_NAME, info)
        return cls(folder, lock)

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """Open and lock the run in a folder; None if another process has it.

        A damaged ``run.json`` is set aside and replaced by what the rest of the folder says.
        """
        lock = Lock(folder / LOCK_NAME)
        if not lock.acquire():
            return None
        try:
            return cls(folder, lock)
        except FileNotFoundError:
            logger.warning("%s has no %s; creating a new one", folder, INFO_NAME)
        except ValueError as error:
            set_aside(folder / INFO_NAME, error)
        info = RunInfo(
            model=training_name(folder).rpartition("-")[0],
            family=None,
            stage="unknown",
            start_time=now(),
            lineage={},
            parameters={},
            datasets=[],
            outcome=Outcome(status="KILLED", end_time=now(), error=f"the run's {INFO_NAME} was damaged"),
        )
        write_sealed(folder / INFO_NAME, info)
        return cls(folder, lock)

    def update(self, **changes: Any) -> None:
        """Change fields of ``run.json``."""
        with self._update_lock:
            self.info = self.info.model_copy(update=changes)
            write_sealed(self.folder / INFO_NAME, self.info)

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of a step, without those that the step already has."""
        new = {name: float(value) for name, value in metrics.items() if step not in self._steps.get(name, ())}
        if not new:
            return
        text = json.dumps({"time": now(), "step": step, "metrics": new})
        self._add_line(text)
        if self._has_write_error:
            return
        try:
            with self._metrics_path.open("a", encoding="utf-8") as file:
                file.write("\n" * self._has_partial_line + seal(text) + "\n")
        except OSError as error:
            self._has_write_error = True
            logger.warning("the metrics of this training can no longer be stored on disk for MLflow: %s", error)
        self._has_partial_line = False

    def last_write_time(self) -> int:
        """When the folder was last written to, in milliseconds since 1970."""
        return max(round(file.stat().st_mtime * 1000) for file in self.folder.iterdir())

    def model_folder(self) -> Path | None:
        """The first folder that still holds the finished model; None if no folder does."""
        outcome = self.info.outcome
        for folder in (self.folder.parents[1] / path for path in (outcome.folders if outcome else ())):
            if outcome and folder.is_dir() and folder_digest(folder) == outcome.digest:
                return Path(os.path.normpath(folder))
        return None

    def is_resumable(self) -> bool:
        """Whether the training has checkpoints to resume from and would continue this run."""
        checkpoints = self.folder.parents[1] / "checkpoints" / training_name(self.folder)
        newest = newest_run_folder(self.folder.parent, checkpoints)
        return not self.info.is_finished and checkpoints.is_dir() and newest == self.folder

    def remove(self) -> None:
        """Delete the folder."""
        discard(self.folder)

    def _read_metrics(self) -> None:
        if not self._metrics_path.exists():
            return
        content = self._metrics_path.read_bytes()
        # A process that was killed while writing leaves a partial line; the next line must not be appended to it.
        self._has_partial_line = not content.endswith(b"\n")
        n_damaged = 0
        for line in content.splitlines():
            try:
                self._add_line(unseal(line.decode("utf-8")))
            except ValueError:
                n_damaged += bool(line)
        if n_damaged:
            logger.warning(
                "%d of the lines in %s are damaged; their metrics are taken from the training record where possible",
                n_damaged,
                self._metrics_path,
            )

    def _add_line(self, text: str) -> None:
        line = json.loads(text)
        for name, value in line["metrics"].items():
            if line["step"] not in self._steps.setdefault(name, set()):
                self._steps[name].add(line["step"])
                self.metrics.append(Metric(name, value, line["time"], line["step"]))


def new_run_folder(parent: Path, checkpoints: Path) -> Path:
    """The folder of a new run of the training with these checkpoints; names sort by time."""
    return parent / f"{now()}-{checkpoints.name}"


def training_name(folder: Path) -> str:
    """The name of the checkpoint folder of a run's training."""
    return folder.name.partition("-")[2]


def newest_run_folder(parent: Path, checkpoints: Path) -> Path | None:
    """The folder of the last run of the training with these checkpoints."""
    return max((folder for folder in run_folders(parent) if training_name(folder) == checkpoints.name), default=None)


def run_folders(parent: Path) -> list[Path]:
    """The folders of all runs, oldest first."""
    return sorted(folder for folder in parent.glob("*-*") if FOLDER_NAME.match(folder.name) and folder.is_dir())
