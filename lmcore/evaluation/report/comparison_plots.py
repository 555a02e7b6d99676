"""Figures of comparisons as PNG and SVG files; their background makes them readable on light and dark pages."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from lmcore.evaluation.names import short_number
from lmcore.evaluation.report.plots import PALETTE, STYLE
from lmcore.evaluation.result import Estimate

COLORS = (
    *(PALETTE[name] for name in ("first", "second", "third", "fourth")),
    "#c0485b",
    "#6b7f1e",
    "#3aa6b9",
    "#7a5c3e",
)
"""One color per model, in the order of a comparison."""
FORMATS = ("png", "svg")
DOTS_PER_INCH = 150
LABELED_DIGITS = "2346"
"""First digits of the numbers between powers of ten that are labeled."""


@dataclass(frozen=True)
class TimedLine:
    """A model's losses over time and its final measurement.

    Attributes:
        name: its name in the legend.
        points: (seconds, bits per byte) of its validations.
        seconds: the duration of its training.
        value: bits per byte of the test split.
        low: lower end of its interval.
        high: upper end of its interval.
        is_comparable: whether the value is the probability of a text; others get a hollow marker and a dashed line.
    """

    name: str
    points: Sequence[tuple[float, float]]
    seconds: float
    value: float
    low: float
    high: float
    is_comparable: bool


@contextmanager
def saved_figure(path: Path, *, size: tuple[float, float]) -> Iterator[Figure]:
    """A figure in the project's style, written as ``path`` with the endings of all formats when the block ends."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": path.name, "figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        for ending in FORMATS:
            metadata = {"Date": None} if ending == "svg" else {"Software": None}
            figure.savefig(path.with_suffix(f".{ending}"), dpi=DOTS_PER_INCH, metadata=metadata)


def plot_ladder(path: Path, lines: Sequence[TimedLine], *, title: str) -> None:
    """Bits per byte against seconds of training, one color per model."""
    with saved_figure(path, size=(7.5, 6.0)) as figure:
        axes = figure.add_subplot(title=title, xlabel="seconds of training", ylabel="bits per byte (lower is better)")
        for line, color in zip(lines, COLORS, strict=False):
            _plot_line(axes, line, color)
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)
        axes.set_xlim(left=-0.02 * max(line.seconds for line in lines))
        _limit_to_final_values(axes, lines)


def _plot_line(axes: Axes, line: TimedLine, color: str) -> None:
    style = "-" if line.is_comparable else "--"
    if len(line.points) > 1:
        seconds, values = zip(*line.points, strict=True)
        axes.plot(seconds, values, style, color=color, linewidth=1.6, marker=".", markersize=4, alpha=0.8)
    error = [[line.value - line.low], [line.high - line.value]]
    face = color if line.is_comparable else "white"
    axes.errorbar(
        [line.seconds], [line.value], yerr=error, color=color, marker="o" if line.is_comparable else "D", markersize=8,
        markerfacecolor=face, capsize=4, linestyle="none", label=line.name,
    )  # fmt: skip


def _limit_to_final_values(axes: Axes, lines: Sequence[TimedLine]) -> None:
    """Cut off the first, very high losses, which would press everything else together."""
    high = max(line.high for line in lines)
    low = min([line.low for line in lines] + [value for line in lines for _, value in line.points])
    axes.set_ylim(max(0.0, low - 0.1 * (high - low)), high + 0.35 * (high - low))


@dataclass(frozen=True)
class SizeLine:
    """The losses of one size.

    Attributes:
        name: its name in the legend.
        measured: (tokens, nats per token).
        predicted: the same as the law predicts it.
        n_parameters: weights of the model.
        is_held_out: whether the law was fitted without it.
    """

    name: str
    measured: Sequence[tuple[float, float]]
    predicted: Sequence[tuple[float, float]]
    n_parameters: float
    is_held_out: bool


@dataclass(frozen=True)
class AccuracyLine:
    """Accuracy with a number of examples: (parameters, accuracy)."""

    name: str
    points: Sequence[tuple[float, Estimate]]


def plot_scaling(path: Path, lines: Sequence[SizeLine]) -> None:
    """Measured and predicted losses, by tokens and by parameters."""
    with saved_figure(path, size=(10.0, 4.4)) as figure:
        by_tokens, by_parameters = figure.subplots(1, 2, width_ratios=(3, 2))
        by_tokens.set(title="Loss while training", xlabel="tokens D", ylabel="validation loss (nats per token)")
        for line, color in zip(lines, COLORS, strict=False):
            face = "white" if line.is_held_out else color
            style = {"color": color, "markerfacecolor": face, "markersize": 5, "linestyle": "none"}
            by_tokens.plot(*_columns(line.measured), marker="o", label=line.name, **style)
            by_tokens.plot(*_columns(line.predicted), color=color, linestyle="--" if line.is_held_out else "-")
            by_parameters.plot([line.n_parameters], [line.measured[-1][1]], marker="o", **style)
        last = sorted((line.n_parameters, line.predicted[-1][1]) for line in lines)
        by_parameters.plot(*_columns(last), color=PALETTE["muted"], zorder=0)
        by_parameters.set(title="Loss at the end", xlabel="parameters N", xscale="log")
        by_tokens.set_xscale("log")
        _name_numbers(by_tokens.xaxis)
        _name_numbers(by_parameters.xaxis)
        by_tokens.legend(fontsize=9, title="dots measured, lines predicted", title_fontsize=9)


def plot_accuracy(path: Path, lines: Sequence[AccuracyLine], *, chance: float) -> None:
    """Accuracy by size, one line per number of examples, and the line of chance."""
    with saved_figure(path, size=(6.4, 4.0)) as figure:
        axes = figure.add_subplot(title="Accuracy by size", xlabel="parameters N", ylabel="accuracy", xscale="log")
        for index, (line, color) in enumerate(zip(lines, COLORS, strict=False)):
            sizes = [size * 1.02**index for size, _ in line.points]  # intervals beside each other
            values = [found.value for _, found in line.points]
            errors = [
                [found.value - found.low for _, found in line.points],
                [found.high - found.value for _, found in line.points],
            ]
            axes.errorbar(sizes, values, yerr=errors, color=color, marker="o", markersize=5, capsize=3, label=line.name)
        axes.axhline(chance, color=PALETTE["muted"], linestyle="--", label="chance")
        axes.set_ylim(0.0, 1.0)
        _name_numbers(axes.xaxis)
        axes.legend(fontsize=9)


def _name_numbers(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as ``600 k``."""
    axis.set_major_formatter(lambda value, _: short_number(value))
    axis.set_minor_formatter(lambda value, _: short_number(value) if f"{value:.0e}"[0] in LABELED_DIGITS else "")


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def plot_sweep(
    path: Path, trials: Sequence[tuple[float, bool, Mapping[str, Any]]], *, metric: str, is_minimized: bool
) -> None:
    """The values of a sweep by trial, with the best so far, and by each parameter.

    Args:
        path: the file, without ending.
        trials: value, whether the trial is complete, and parameters of each trial.
        metric: what the values are.
        is_minimized: whether a lower value is better.
    """
    names = list(dict.fromkeys(name for _, _, parameters in trials for name in parameters))
    with saved_figure(path, size=(4.0 * (1 + len(names)), 3.6)) as figure:
        first, *others = figure.subplots(1, 1 + len(names), sharey=True, squeeze=False)[0]
        first.set(title="By trial", xlabel="trial", ylabel=metric)
        _scatter(first, range(1, len(trials) + 1), trials)
        best, so_far = [], math.inf if is_minimized else -math.inf
        for value, is_complete, _ in trials:
            so_far = (min if is_minimized else max)(so_far, value) if is_complete else so_far
            best.append(so_far)
        first.step(range(1, len(trials) + 1), best, where="post", color=PALETTE["muted"], label="best so far")
        for axes, name in zip(others, names, strict=True):
            axes.set(title=name.rpartition(".")[2], xlabel=name)
            axes.xaxis.label.set_size(8)
            values = [parameters.get(name) for _, _, parameters in trials]
            if all(isinstance(value, float) and value > 0 for value in values):
                axes.set_xscale("log")
            _scatter(axes, [value if isinstance(value, int | float) else str(value) for value in values], trials)
        first.legend(fontsize=8)


def _scatter(axes: Axes, x: Sequence[Any], trials: Sequence[tuple[float, bool, Mapping[str, Any]]]) -> None:
    for is_complete, face, label in ((True, COLORS[0], "complete"), (False, "white", "stopped early")):
        chosen = [(at, value) for at, (value, complete, _) in zip(x, trials, strict=True) if complete == is_complete]
        if chosen:
            axes.plot(
                [at for at, _ in chosen], [value for _, value in chosen], "o", color=COLORS[0], markerfacecolor=face,
                label=label,
            )  # fmt: skip
