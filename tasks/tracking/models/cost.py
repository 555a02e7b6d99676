"""What a training cost: time, computing hours and energy, from its run in MLflow.

It is the last section of the model card that MLflow has. The card that the pipeline writes does not have it, since
equal trainings have equal cards.
"""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.tracking.store.client import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

CARDS = "model-card*.md"
POWER = "power_usage_watts"
ORIGIN = "model.origin"
"""The tag of a run that was made from a model folder, whose training was not timed."""


def add_cost(store: Store, run: "Run", folder: Path) -> None:
    """Append the cost of the run's training to the model cards in ``folder``; once, if called again."""
    section = cost_section(store, run)
    for card in sorted(folder.glob(CARDS)):
        text = card.read_text(encoding="utf-8").partition("\n## Cost\n")[0]
        card.write_text(f"{text.rstrip()}\n\n{section}", encoding="utf-8")


def cost_section(store: Store, run: "Run") -> str:
    """The cost of a run as Markdown."""
    tags, end = run.data.tags, run.info.end_time
    if ORIGIN in tags or end is None:
        return "## Cost\n\nNot known: the training was not tracked here.\n"
    seconds = (end - run.info.start_time) / 1000
    n_cores, n_gpus = int(tags.get("machine.cores", 0)), int(tags.get("gpu.count", 0))
    watts = _mean_watts(store, run)
    rows = [
        ("Machine", tags.get("gpu.name") or tags.get("machine.processor", "unknown")),
        ("Seconds from start to end", f"{seconds:,.0f}"),
        ("CPU-hours (all cores)", f"{n_cores * seconds / 3600:,.2f}" if n_cores else "unknown"),
        ("GPU-hours", f"{n_gpus * seconds / 3600:,.2f}"),
        ("Energy of the GPUs", "not measured" if watts is None else f"{watts * seconds / 3.6e6:,.3f} kWh"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    note = "For this training alone, without those that it started from; pauses are included."
    return "\n".join(["## Cost", "", "| | |", "|---|---|", *lines, "", note, ""])


def _mean_watts(store: Store, run: "Run") -> float | None:
    """The mean power of all GPUs together, as the driver reported it during the run; None if it did not."""
    names = [name for name in run.data.metrics if name.startswith("system/gpu_") and name.endswith(POWER)]
    if not names:
        return None
    histories = [store.client.get_metric_history(run.info.run_id, name) for name in names]
    return sum(statistics.fmean(point.value for point in history) for history in histories)
