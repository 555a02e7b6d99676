"""Plots as SVG: equal input gives equal bytes, and the colors are those of the page that contains the plot."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType

from lmcore.evaluation.result import Estimate

PALETTE = {
    "ink": "#1d2733",
    "muted": "#5d6b7a",
    "line": "#d9dfe5",
    "first": "#2f6fb2",
    "second": "#c07a1a",
    "third": "#1f8a70",
    "fourth": "#8a6fb0",
}
"""Names of the page's CSS variables, with the colors of a plot outside the page."""
SERIES = ("first", "second", "third", "fourth")

STYLE: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "svg.fonttype": "none",  # keep text as text: it can be selected, read aloud, and uses the font of the page
    "axes.edgecolor": PALETTE["line"],
    "axes.labelcolor": PALETTE["muted"],
    "axes.titlecolor": PALETTE["ink"],
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALETTE["line"],
    "text.color": PALETTE["ink"],
    "xtick.color": PALETTE["line"],
    "xtick.labelcolor": PALETTE["muted"],
    "ytick.color": PALETTE["line"],
    "ytick.labelcolor": PALETTE["muted"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.labelcolor": PALETTE["ink"],
}

MAX_MARKERS = 30
"""Curves with more points are drawn without markers."""


@dataclass(frozen=True)
class Curve:
    """A named line of (step, value) points."""

    name: str
    points: Sequence[tuple[float, float]]


def interval_plot(name: str, estimates: Mapping[str, Estimate], *, label: str, description: str) -> str:
    """A row per estimate: a dot with its interval; ``description`` is for screen readers."""
    with _styled(name):
        figure = Figure(figsize=(7.2, 0.55 * len(estimates) + 0.9), layout="constrained")
        axes = figure.add_subplot()
        for row, (estimate, color) in enumerate(zip(estimates.values(), _colors(), strict=False)):
            axes.plot([estimate.low, estimate.high], [row, row], color=color, linewidth=3, solid_capstyle="round")
            axes.plot([estimate.value], [row], "o", color=color, markersize=8)
            text = f"{estimate.value:.3f}"
            axes.annotate(text, (estimate.value, row), (0, 9), textcoords="offset points", ha="center", fontsize=10)
        axes.set_yticks(range(len(estimates)), list(estimates))
        axes.tick_params(axis="y", length=0, labelcolor=PALETTE["ink"])
        axes.set_ylim(len(estimates) - 0.5, -0.7)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.set_xlabel(label)
        return _to_svg(figure, name, description)


def curve_plot(name: str, curves: Sequence[Curve], *, title: str, label: str, description: str) -> str:
    """Curves over training steps; ``description`` is for screen readers."""
    with _styled(name):
        figure = Figure(figsize=(4.4, 2.7), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel="step", ylabel=label)
        for curve, color in zip(curves, _colors(), strict=False):
            steps, values = [step for step, _ in curve.points], [value for _, value in curve.points]
            marker = "o" if len(steps) <= MAX_MARKERS else ""
            axes.plot(steps, values, label=curve.name, color=color, linewidth=1.8, marker=marker, markersize=3.5)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.legend(loc="upper right")
        return _to_svg(figure, name, description)


def reliability_plot(name: str, curves: Mapping[str, Sequence[tuple[float, Estimate]]], *, description: str) -> str:
    """Accuracy by confidence, with intervals, and the diagonal on which a calibrated classifier lies.

    Args:
        name: begins the ids in the plot.
        curves: by name the confidence of each bin and its accuracy.
        description: for screen readers.
    """
    with _styled(name):
        figure = Figure(figsize=(4.4, 3.6), layout="constrained")
        axes = figure.add_subplot(xlabel="probability of the predicted label", ylabel="fraction that is right")
        axes.plot([0, 1], [0, 1], color=PALETTE["muted"], linewidth=1, linestyle=(0, (4, 4)))
        for (label, bins), color in zip(curves.items(), _colors(), strict=False):
            confidence, values = [x for x, _ in bins], [found.value for _, found in bins]
            below = [found.value - found.low for _, found in bins]
            above = [found.high - found.value for _, found in bins]
            axes.errorbar(
                confidence, values, (below, above), color=color, linewidth=1, capsize=0, alpha=0.5, fmt="none"
            )
            axes.plot(confidence, values, "o-", label=label, color=color, linewidth=1.8, markersize=4)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(loc="upper left")
        return _to_svg(figure, name, description)


def _colors() -> Iterator[str]:
    while True:
        yield from (PALETTE[name] for name in SERIES)


@contextmanager
def _styled(name: str) -> Iterator[None]:
    # Without a fixed salt, matplotlib's ids are random.
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        yield


def _to_svg(figure: Figure, name: str, description: str) -> str:
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Several plots share a page, where ids must be unique.
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for variable, color in PALETTE.items():
        svg = svg.replace(color, f"var(--{variable}, {color})")
    head, rest = svg.split(">", 1)
    head = re.sub(r'\sversion="[^"]*"', "", head)  # without width and height, the plot is blank inside a frame
    return f'{head} role="img" aria-label="{_escape(description)}">{rest}'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
