"""Progress of long computations: a bar on a terminal, or occasional lines in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 20.0


class ProgressBar:
    """The progress of a computation of known size; created by :func:`progress`."""

    def __init__(self, description: str, total: int, unit: str, bar: Progress | None, done: int = 0) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = self._done_before = done
        self._start = self._last_line = time.monotonic()
        self._is_line_shown = False
        self._bar = bar
        self._task = bar.add_task(description, total=total, completed=done, note="") if bar else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more units as done; ``note`` shows current values such as the loss."""
        self.reach(self.done + amount, note)

    def reach(self, done: int, note: str = "") -> None:
        """Set the number of units that are done, which may be smaller than before."""
        self.done = done
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self.done, note=note)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._is_line_shown = True
            logger.info("%s", self._line(note))

    def end(self) -> None:
        """Log the total time if lines were logged before: otherwise the last of them would look unfinished."""
        if self._is_line_shown:
            seconds = time.monotonic() - self._start
            logger.info("%s: %s %s in %.0f s", self.description, f"{self.done:,}", self.unit, seconds)

    def _line(self, note: str) -> str:
        elapsed = time.monotonic() - self._start
        left = elapsed / max(self.done - self._done_before, 1) * max(self.total - self.done, 0)
        values = f" · {note}" if note else ""
        return f"{self.description}: {self.done:,} of {self.total:,} {self.unit}{values} · {left:.0f} s left"


@contextmanager
def progress(description: str, total: int, unit: str, *, done: int = 0) -> Iterator[ProgressBar]:
    """Show progress until the block ends.

    Args:
        description: what is computed.
        total: the number of units.
        unit: the name of the units.
        done: the number of units that were done before.
    """
    if not sys.stderr.isatty():
        lines = ProgressBar(description, total, unit, None, done)
        yield lines
        lines.end()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    times = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, *times, console=Console(stderr=True), transient=False) as bar:
        yield ProgressBar(description, total, unit, bar, done)
