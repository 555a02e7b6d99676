"""One line of the table, and how two things are timed side by side on a machine that others use as well."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.worker import Action, worker
from tasks.context.process_start import START_SETTINGS


@dataclass(frozen=True)
class Line:
    """What was compared, and what is to be reached.

    Attributes:
        name: what is measured.
        ours: this project's figure, None where it was not measured.
        theirs: that of what stands beside it.
        unit: of both.
        ratio: what is held against the target.
        target: the ratio to reach; None where the figures are only shown side by side.
        better: whether a higher or a lower ratio is wanted.
        note: what stands beside, or why nothing was measured.
    """

    name: str
    ours: float | None
    theirs: float | None
    unit: str
    ratio: float | None
    target: float | None
    better: Literal["higher", "lower"]
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the target is reached; None where nothing was measured or wanted."""
        if self.ratio is None or self.target is None:
            return None
        return self.ratio >= self.target if self.better == "higher" else self.ratio <= self.target

    def as_dict(self, machine: dict[str, str]) -> dict[str, Any]:
        """The line for ``results.json``."""
        return {**asdict(self), "holds": self.holds, "machine": machine}


def seconds_in_turn(
    ours: Callable[[], Action], theirs: Callable[[], Action], *, n_rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of each, the two in turn, each in a process of its own, after one of each that does not count.

    Args:
        ours: makes what is timed, in the other process, as this project sets a process up.
        theirs: likewise, as a process is when nobody has set anything.
        n_rounds: how often each is timed.
    """
    times: tuple[list[float], list[float]] = ([], [])
    with worker(ours, START_SETTINGS) as mine, worker(theirs, {}) as other:
        mine()
        other()
        for _ in range(n_rounds):
            times[0].append(mine()[0])
            times[1].append(other()[0])
    return times


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median of the ratios of neighbors in time, which share what else the machine was doing."""
    return statistics.median(one / other for one, other in zip(numerators, denominators, strict=True))
