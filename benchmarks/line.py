"""One line of the table of results, and timing of two alternatives in turn on a machine that is not idle."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.worker import Action, worker
from tasks.context.process_start import START_SETTINGS

NOTHING_CHANGED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Line:
    """A comparison of this project with a baseline.

    Attributes:
        name: what is measured.
        ours: the value of this project; ``None`` if it was not measured.
        theirs: the value of the baseline.
        unit: the unit of both values.
        ratio: the ratio that is compared with the target.
        target: the ratio to reach; ``None`` if the values are only shown next to each other.
        better: whether the ratio should be higher or lower than the target.
        note: details of the measurement, or why nothing was measured.
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
        """Whether the target is met; ``None`` if there is no measurement or no target."""
        if self.ratio is None or self.target is None:
            return None
        return self.ratio >= self.target if self.better == "higher" else self.ratio <= self.target

    def as_dict(self, machine: dict[str, str]) -> dict[str, Any]:
        """The line for ``results.json``."""
        return {**asdict(self), "holds": self.holds, "machine": machine}


def seconds_in_turn(
    ours: Callable[[], Action],
    theirs: Callable[[], Action],
    *,
    n_rounds: int,
    environment: Mapping[str, str] = NOTHING_CHANGED,
) -> tuple[list[float], list[float]]:
    """Time two actions in turn, each in a process of its own, after a warm-up of each.

    Args:
        ours: returns the action of this project; its process has the environment of a training process.
        theirs: returns the action of the baseline.
        n_rounds: how often each action is timed.
        environment: additional environment variables of the baseline's process.

    Returns:
        The seconds of each round for both actions.
    """
    times: tuple[list[float], list[float]] = ([], [])
    with worker(ours, START_SETTINGS) as mine, worker(theirs, environment) as other:
        mine()
        other()
        for _ in range(n_rounds):
            times[0].append(mine()[0])
            times[1].append(other()[0])
    return times


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median ratio of measurements taken in the same round, which are affected alike by other load."""
    return statistics.median(one / other for one, other in zip(numerators, denominators, strict=True))
