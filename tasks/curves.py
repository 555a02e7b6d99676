"""A training's history as tables that ``dvc plots`` draws."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from lmcore.runtime.files import atomic_file


def write_curves(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write ``training.csv`` (loss, gradient_norm, learning_rate) and ``validation.csv`` (validation_loss) by step."""
    _write(folder / "training.csv", ("step", "loss", "gradient_norm", "learning_rate"), history)
    _write(folder / "validation.csv", ("step", "validation_loss"), history)


def _write(path: Path, columns: Sequence[str], history: Sequence[Mapping[str, float]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in history if columns[1] in row)
