"""A run on disk, before it is anywhere else: nothing is lost when the tracking server or this process goes away."""

import contextlib
import fcntl
import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import folder_digest
from tasks.context.sealed import discard, read_sealed, seal, unseal, write_sealed
from tasks.tracking.record import Outcome, Point, RunRecord, now

logger = logging.getLogger(__name__)

CHANGES_NAME = "changes.diff"
RECORD_NAME = "run.json"
LOCK_NAME = "lock"
NAME = re.compile(r"\d{13}-.+")


class Lock:
    """Held as long as its process lives or until it is released, so that nobody else takes up the same work."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Whether it could be had; a folder that is gone has none."""
        with contextlib.suppress(FileNotFoundError):
            file = self._path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it may have removed the folder meanwhile.
                is_there = self._path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except (BlockingIOError, FileNotFoundError):
                is_there = False
            if is_there:
                self._file = file
            else:
                file.close()
            return is_there
        return False

    def release(self) -> None:
        """Let others have it."""
        if self._file:
            self._file.close()
            self._file = None


class Journal:
    """The folder of one run: ``run.json``, and its figures in ``points.jsonl``; every line has its checksum.

    The name of the folder is that of the training's work folder behind the time, so that one is found by the other
    even where the file inside is damaged. One thread appends figures, another reads them; both may :meth:`update`.
    """

    def __init__(self, folder: Path, lock: Lock) -> None:
        self.folder = folder
        self.lock = lock
        self.record = read_sealed(folder / RECORD_NAME, RunRecord)
        self.points: list[Point] = []
        """All figures, in the order in which they came."""
        self._steps: dict[str, set[int]] = {}
        self._change = threading.Lock()
        self._points_path = folder / "points.jsonl"
        self._has_open_line = False
        self._is_broken = False
        self._read_points()

    @classmethod
    def create(cls, folder: Path, record: RunRecord, changes: bytes) -> "Journal":
        """Begin the journal of a run.

        Args:
            folder: to be made.
            record: what is known so far.
            changes: differences between the code that runs and its commit, as a patch.
        """
        folder.mkdir(parents=True)
        lock = Lock(folder / LOCK_NAME)
        lock.take()
        if changes:
            (folder / CHANGES_NAME).write_bytes(changes)
        write_sealed(folder / RECORD_NAME, record)
        return cls(folder, lock)

    @classmethod
    def take_over(cls, folder: Path) -> "Journal | None":
        """A journal that no process has, or None; a damaged ``run.json`` is set aside and what the folder still
        tells takes its place."""
        lock = Lock(folder / LOCK_NAME)
        if not lock.take():
            return None
        try:
            return cls(folder, lock)
        except FileNotFoundError:
            logger.warning("%s has no %s; a new one is made", folder, RECORD_NAME)
        except ValueError as error:
            set_aside(folder / RECORD_NAME, error)
        record = RunRecord(
            model=work_name(folder).rpartition("-")[0],
            family=None,
            stage="unknown",
            start_time=now(),
            facts={},
            parameters={},
            datasets=[],
            outcome=Outcome(status="KILLED", end_time=now(), error=f"{RECORD_NAME} of the run's journal was damaged"),
        )
        write_sealed(folder / RECORD_NAME, record)
        return cls(folder, lock)

    def update(self, **changes: Any) -> None:
        """Change what is known of the run."""
        with self._change:
            self.record = self.record.model_copy(update=changes)
            write_sealed(self.folder / RECORD_NAME, self.record)

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures of a step, except those that it already has: each figure has one value per step."""
        new = {name: float(value) for name, value in metrics.items() if step not in self._steps.get(name, ())}
        if not new:
            return
        text = json.dumps({"time": now(), "step": step, "values": new})
        self._add(text)
        if self._is_broken:
            return
        try:
            with self._points_path.open("a", encoding="utf-8") as file:
                file.write("\n" * self._has_open_line + seal(text) + "\n")
        except OSError as error:
            self._is_broken = True
            logger.warning("further metrics of this training are not stored on disk for MLflow: %s", error)
        self._has_open_line = False

    def last_sign_of_life(self) -> int:
        """When something was last written to it, in milliseconds since 1970."""
        return max(round(file.stat().st_mtime * 1000) for file in self.folder.iterdir())

    def model_folder(self) -> Path | None:
        """Where the finished model is, if it is anywhere: the first folder with its content."""
        outcome = self.record.outcome
        for folder in (self.folder.parents[1] / path for path in (outcome.folders if outcome else ())):
            if outcome and folder.is_dir() and folder_digest(folder) == outcome.digest:
                return Path(os.path.normpath(folder))
        return None

    def is_finished(self) -> bool:
        """Whether the training has made its model."""
        return self.record.outcome is not None and self.record.outcome.status == "FINISHED"

    def is_resumable(self) -> bool:
        """Whether the training has not finished, can go on, and would go on with this journal."""
        work = self.folder.parents[1] / "checkpoints" / work_name(self.folder)
        return not self.is_finished() and work.is_dir() and newest_folder(self.folder.parent, work) == self.folder

    def remove(self) -> None:
        """Delete it."""
        discard(self.folder)

    def _read_points(self) -> None:
        if not self._points_path.exists():
            return
        content = self._points_path.read_bytes()
        # Where the process was killed while it wrote the last line, what comes next must not hang on to it.
        self._has_open_line = not content.endswith(b"\n")
        n_damaged = 0
        for line in content.splitlines():
            try:
                self._add(unseal(line.decode("utf-8")))
            except ValueError:
                n_damaged += bool(line)
        if n_damaged:
            logger.warning(
                "%d of the lines in %s are damaged; their metrics are taken from the training record where possible",
                n_damaged,
                self._points_path,
            )

    def _add(self, text: str) -> None:
        entry = json.loads(text)
        for name, value in entry["values"].items():
            if entry["step"] not in self._steps.setdefault(name, set()):
                self._steps[name].add(entry["step"])
                self.points.append(Point(name, value, entry["time"], entry["step"]))


def journal_name(work_folder: Path) -> str:
    """A new name for a journal of the training in ``work_folder``; later ones come later in the alphabet."""
    return f"{time.time_ns() // 1_000_000}-{work_folder.name}"


def work_name(folder: Path) -> str:
    """The name of the work folder that a journal belongs to."""
    return folder.name.partition("-")[2]


def newest_folder(folder: Path, work_folder: Path) -> Path | None:
    """The last journal of the training in ``work_folder``, if it has one."""
    return max((found for found in journal_folders(folder) if work_name(found) == work_folder.name), default=None)


def journal_folders(folder: Path) -> list[Path]:
    """The folders of all journals, oldest first."""
    return sorted(found for found in folder.glob("*-*") if NAME.match(found.name) and found.is_dir())
