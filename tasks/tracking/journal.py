"""A row on disk, before it is anywhere else: nothing is lost when the tracking server or this process goes away."""

import contextlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcore.files import write_json, write_text
from tasks.process import ProcessIdentity
from tasks.tracking.row import Point, Row, now

logger = logging.getLogger(__name__)

POINTER_NAME = "tracking.json"
CHANGES_NAME = "changes.diff"


class Journal:
    """The folder of one row: ``row.json``, its figures in ``points.jsonl``, and how many bytes of them are sent.

    One thread appends figures, another reads them; both may :meth:`update` the row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.row = Row.model_validate_json((folder / "row.json").read_text(encoding="utf-8"))
        self._lock = threading.Lock()
        self._points = folder / "points.jsonl"
        self._last_steps: dict[str, int] | None = None
        self._is_broken = False

    @classmethod
    def create(cls, folder: Path, row: Row, changes: bytes) -> "Journal":
        """Begin the journal of ``row``; the training's work folder remembers which one it is.

        Args:
            folder: to be made.
            row: what is known so far.
            changes: differences between the code that runs and its commit, as a patch.
        """
        folder.mkdir(parents=True)
        if changes:
            (folder / CHANGES_NAME).write_bytes(changes)
        write_text(folder / "row.json", row.model_dump_json(indent=2))
        write_json(Path(row.work_folder) / POINTER_NAME, {"journal": folder.name})
        return cls(folder)

    @classmethod
    def of_work_folder(cls, journals: Path, work_folder: Path) -> "Journal | None":
        """The journal of the training in ``work_folder``, if it has one."""
        try:
            pointer = json.loads((work_folder / POINTER_NAME).read_text(encoding="utf-8"))
            return cls(journals / pointer["journal"])
        except (FileNotFoundError, KeyError, ValueError):
            return None

    def update(self, **changes: Any) -> None:
        """Change what is known of the row."""
        with self._lock:
            self.row = self.row.model_copy(update=changes)
            write_text(self.folder / "row.json", self.row.model_dump_json(indent=2))

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures of a step, except those that it already has: each figure has one value per step."""
        if self._last_steps is None:
            self._last_steps = self._read_last_steps()
        new = {name: float(value) for name, value in metrics.items() if step > self._last_steps.get(name, -1)}
        if not new or self._is_broken:
            return
        line = json.dumps({"time": now(), "step": step, "values": new})
        try:
            with self._points.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self._is_broken = True
            logger.warning("MLflow will miss this training's further figures: %s (%s)", error, self._points)
        self._last_steps |= dict.fromkeys(new, step)

    def unsent(self, limit: int) -> tuple[list[Point], int]:
        """About ``limit`` of the figures that MLflow does not have, and the offset to :meth:`mark_sent` for them."""
        offset = self._sent_bytes()
        points: list[Point] = []
        if not self._points.exists():
            return points, offset
        with self._points.open("rb") as file:
            file.seek(offset)
            for line in file:
                if len(points) >= limit or not line.endswith(b"\n"):
                    break
                offset += len(line)
                points += _read_points(line)
        return points, offset

    def mark_sent(self, offset: int) -> None:
        """Remember that MLflow has all figures before ``offset``.

        Should this be lost, they are sent again; MLflow drops a figure that is the same to the millisecond.
        """
        temporary = self.folder / "sent.new"
        temporary.write_text(str(offset), encoding="ascii")
        temporary.replace(self.folder / "sent")

    def restart(self) -> None:
        """Forget what the store has: it has lost the row, or it is another store."""
        (self.folder / "sent").unlink(missing_ok=True)
        self.update(run_id=None, is_described=False)

    def last_sign_of_life(self) -> int:
        """When something was last written to it, in milliseconds since 1970."""
        return max(round(file.stat().st_mtime * 1000) for file in self.folder.iterdir())

    def is_done(self) -> bool:
        """Whether nobody writes to it any more: the training has ended, or its process has without a word."""
        return is_free(self.row.owner, self.row.outcome is not None)

    def is_resumable(self) -> bool:
        """Whether the training's work folder is still there and still means this journal."""
        current = Journal.of_work_folder(self.folder.parent, Path(self.row.work_folder))
        return current is not None and current.folder == self.folder

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sent_bytes(self) -> int:
        try:
            return int((self.folder / "sent").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def _read_last_steps(self) -> dict[str, int]:
        last_steps: dict[str, int] = {}
        if not self._points.exists():
            return last_steps
        content = self._points.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            # The process was killed while it wrote the last line.
            os.truncate(self._points, whole)
        for line in content[:whole].splitlines():
            last_steps |= {point.name: point.step for point in _read_points(line)}
        return last_steps


def journals(folder: Path) -> list[Journal]:
    """All journals in ``folder``, oldest first."""
    found = []
    for file in sorted(folder.glob("*/row.json")):
        # Another process may just have removed it, another version of this code may have written it.
        with contextlib.suppress(FileNotFoundError, ValueError):
            found.append(Journal(file.parent))
    return found


def is_free(owner: dict[str, Any], has_ended: bool) -> bool:
    """Whether what a process has left may be taken over: the process has gone, or it is this one and has ended it."""
    identity = ProcessIdentity.from_json(owner)
    return identity.is_gone() or (has_ended and identity.pid == os.getpid() and identity.process() is not None)


def _read_points(line: bytes) -> list[Point]:
    try:
        record = json.loads(line)
        return [Point(name, value, record["time"], record["step"]) for name, value in record["values"].items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # the machine went down while it was on its way to the disk
