"""The page of a sweep: its trials, the best one, and a figure of values by trial and by parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmcore.evaluation.report.comparison_plots import plot_sweep
from lmcore.runtime.files import write_json, write_text
from tasks.compare.tables import markdown_table

COMPLETE = "complete"


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial.

    Attributes:
        experiment: the name of its DVC experiment.
        state: "complete", "pruned" or "fail".
        value: the metric; of a pruned trial, its last intermediate value; None if it has none.
        parameters: the values that were tried.
    """

    experiment: str
    state: str
    value: float | None
    parameters: Mapping[str, Any]


def best_trial(trials: Sequence[TrialResult], *, is_minimized: bool) -> TrialResult | None:
    """The complete trial with the best value; None if there is none."""
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.value is not None]
    return min(complete, key=lambda trial: (trial.value or 0.0) * (1 if is_minimized else -1), default=None)


def write_sweep_report(
    folder: Path, trials: Sequence[TrialResult], *, name: str, metric: str, is_minimized: bool
) -> None:
    """Write ``sweep.md``, ``sweep.json`` and the figure ``sweep``.

    Args:
        folder: where to write.
        trials: all trials, in their order.
        name: the name of the sweep.
        metric: what trials are compared by.
        is_minimized: whether a lower value is better.
    """
    write_json(folder / "sweep.json", [asdict(trial) for trial in trials])
    plot_sweep(
        folder / "sweep",
        [(trial.value, trial.state == COMPLETE, trial.parameters) for trial in trials if trial.value is not None],
        metric=metric,
        is_minimized=is_minimized,
    )
    best = best_trial(trials, is_minimized=is_minimized)
    counts = {state: sum(trial.state == state for trial in trials) for state in (COMPLETE, "pruned", "fail")}
    text = f"""# Sweep {name}

{len(trials)} trials: {counts[COMPLETE]} complete, {counts["pruned"]} stopped early, {counts["fail"]} failed.

**{_best(best, metric)}**

![Values by trial and by parameter]({"sweep.png"})

{_table(trials, metric)}

A trial that was stopped early shows its last value, and has no experiment. The best of many trials looks better than it
is, because the same validation data chose it: confirm it with another seed, or on the test split.
"""
    write_text(folder / "sweep.md", text)


def _best(best: TrialResult | None, metric: str) -> str:
    if best is None:
        return "No trial is complete."
    return f"Best: {best.experiment}, {metric} {best.value:.4f}. Apply it with dvc exp apply {best.experiment}"


def _table(trials: Sequence[TrialResult], metric: str) -> str:
    paths = list(dict.fromkeys(path for trial in trials for path in trial.parameters))
    rows = [
        [
            trial.experiment,
            trial.state,
            "" if trial.value is None else f"{trial.value:.4f}",
            *(_shown(trial.parameters.get(path)) for path in paths),
        ]
        for trial in trials
    ]
    return markdown_table(["experiment", "state", metric, *paths], rows)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
