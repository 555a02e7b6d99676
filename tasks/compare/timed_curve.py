"""How a training's metrics went over time, kept on disk so that an interrupted training continues its curve."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcore.runtime.files import write_text


class TimedCurve:
    """The metrics of a training by seconds of training; :meth:`log` is a listener of the training.

    The clock runs while the process trains: after an interruption, it continues at the last metrics on disk.

    Args:
        path: the file of the curve, one JSON object a line: ``step``, ``seconds`` and metrics.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows: list[dict[str, float]] = [json.loads(line) for line in lines]
        self._clock = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of a step; step 0 without metrics starts the clock. What is on disk is kept."""
        now = time.monotonic()
        if step > self.last_step:
            seconds = self.seconds + now - self._clock
            self.rows.append({"step": step, "seconds": seconds, **metrics})
            write_text(self._path, "".join(json.dumps(row) + "\n" for row in self.rows))
        self._clock = now

    @property
    def seconds(self) -> float:
        """The seconds of training so far."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    @property
    def last_step(self) -> int:
        """The last step with metrics."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    def points(self, metric: str) -> list[tuple[float, float]]:
        """The values of a metric by seconds."""
        return [(row["seconds"], row[metric]) for row in self.rows if metric in row]

    def as_json(self) -> list[dict[str, Any]]:
        """All rows."""
        return list(self.rows)
