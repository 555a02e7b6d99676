"""Figures of comparisons: both formats, equal input gives equal bytes, and every model is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmcore.evaluation.report.comparison_plots import (
    AccuracyLine,
    SizeLine,
    TimedLine,
    plot_accuracy,
    plot_ladder,
    plot_scaling,
    plot_sweep,
)
from lmcore.evaluation.result import Estimate


def ladder(path: Path) -> None:
    lines = [
        TimedLine("GPT", [(1.0, 5.0), (2.0, 2.0)], 2.0, 2.1, 2.0, 2.2, is_comparable=True),
        TimedLine("BERT", [], 2.0, 1.1, 1.0, 1.2, is_comparable=False),
    ]
    plot_ladder(path, lines, title="After 2 s")


def scaling(path: Path) -> None:
    lines = [
        SizeLine(f"size {size}", [(10.0, 3.0 / size), (20.0, 2.0 / size)], [(20.0, 2.1 / size)], size * 1e5, size == 2)
        for size in (1, 2)
    ]
    plot_scaling(path, lines)


def accuracy(path: Path) -> None:
    plot_accuracy(path, [AccuracyLine("0 examples", [(1e5, Estimate(0.3, 0.2, 0.4))])], chance=0.25)


def sweep(path: Path) -> None:
    trials = [(2.0, True, {"a.rate": 0.1, "b": "x"}), (1.0, False, {"a.rate": 0.3, "b": 2})]
    plot_sweep(path, trials, metric="validation_loss", is_minimized=True)


@pytest.mark.parametrize(
    ("draw", "texts"),
    [
        (ladder, ["GPT", "BERT", "seconds of training", "bits per byte"]),
        (scaling, ["size 1", "size 2", "tokens D", "parameters N"]),
        (accuracy, ["0 examples", "chance"]),
        (sweep, ["validation_loss", "best so far", "stopped early", "rate"]),
    ],
)
def test_a_figure_names_what_it_shows_and_is_the_same_every_time(
    draw: Callable[[Path], None], texts: list[str], tmp_path: Path
) -> None:
    draw(tmp_path / "one")
    svg = (tmp_path / "one.svg").read_text()
    first = (tmp_path / "one.png").read_bytes()
    draw(tmp_path / "one")
    assert (tmp_path / "one.svg").read_text() == svg
    assert (tmp_path / "one.png").read_bytes() == first
    for text in texts:
        assert f">{text}<" in svg or text in svg
