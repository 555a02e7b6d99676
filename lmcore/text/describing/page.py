"""The page of a corpus: its statistics as pictures and tables, and what was dropped from it, with examples."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lmcore.text.describing.ledger import examples_of, rules_of

TEMPLATE = "page.html.jinja"
EXAMPLES_PER_RULE = 3
EXCERPT_CHARACTERS = 220
SHOWN_BARS = 20
# The page has the same colors as variables: a picture in it follows them, by day and by night.
COLORS = {"ink": "#1d2733", "muted": "#5d6b7a", "line": "#d9dfe5", "first": "#2f6fb2"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "corpus",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLORS["line"],
    "axes.labelcolor": COLORS["muted"],
    "xtick.color": COLORS["muted"],
    "ytick.color": COLORS["muted"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def render_page(statistics: Mapping[str, Any], summary: Mapping[str, Any], ledger: Path) -> str:
    """One self-contained HTML page; equal input gives equal bytes.

    Args:
        statistics: what :func:`lmcore.text.describing.statistics.merge_statistics` gave.
        summary: of the cleaning.
        ledger: of the cleaning.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pictures = {
        "length": _bars(
            [_short(row["words"], digits=1) for row in statistics["length"]],
            [row["documents"] for row in statistics["length"]],
            "words in a document, from",
            "documents",
        ),
        "growth": _growth(statistics["vocabulary_growth"]),
        "words": _ranking(statistics["frequent_words"]),
        "tags": _ranking(statistics["tags"]) if statistics["tags"] else None,
        "drops": _ranking(_by_count(summary["dropped_by_reason"]), is_logarithmic=True) if summary["dropped"] else None,
    }
    examples = examples_of(ledger, EXAMPLES_PER_RULE, seed=0)
    rules = [{**rule, "examples": list(map(_with_excerpt, examples[rule["rule"]]))} for rule in rules_of(ledger)]
    return environment.get_template(TEMPLATE).render(
        statistics=statistics, summary=summary, pictures=pictures, rules=rules
    )


def _with_excerpt(row: Mapping[str, Any]) -> dict[str, Any]:
    words = " ".join((row["text"] or "")[: 2 * EXCERPT_CHARACTERS].split())
    return {**row, "excerpt": words if len(words) <= EXCERPT_CHARACTERS else f"{words[:EXCERPT_CHARACTERS]} …"}


def _bars(names: Sequence[str], counts: Sequence[int], x_label: str, y_label: str) -> Markup:
    last = max((place for place, count in enumerate(counts) if count), default=0) + 1

    def draw(axes: Axes) -> None:
        axes.bar(names[:last], counts[:last], color=COLORS["first"])
        axes.set(xlabel=x_label, ylabel=y_label)

    return _picture(draw, (6.4, 2.8))


def _growth(points: Sequence[Mapping[str, int]]) -> Markup:
    def draw(axes: Axes) -> None:
        axes.plot([point["words"] for point in points], [point["different"] for point in points], color=COLORS["first"])
        axes.set(xlabel="words read", ylabel="different words")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: _short(value))

    return _picture(draw, (6.4, 2.8))


def _by_count(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = [{"name": name, "count": count} for name, count in counts.items()]
    return sorted(rows, key=lambda row: (-row["count"], row["name"]))


def _ranking(counts: Sequence[Mapping[str, Any]], *, is_logarithmic: bool = False) -> Markup:
    shown = list(reversed(counts[:SHOWN_BARS]))

    def draw(axes: Axes) -> None:
        axes.barh(
            [row["name"].replace("$", r"\$") for row in shown], [row["count"] for row in shown], color=COLORS["first"]
        )
        if is_logarithmic:
            # From below one, so that a single document has a bar.
            axes.set_xscale("log")
            axes.set_xlim(left=0.5)
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(lambda value, _: _short(value))

    return _picture(draw, (6.4, 0.6 + 0.22 * len(shown)))


def _picture(draw: Any, size: tuple[float, float]) -> Markup:
    with mpl.rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # A picture's text stays text: the browser has the letters that matplotlib's font has not.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for name, color in COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    # As wide as the page allows.
    return Markup(re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2))


def _short(number: float, digits: int = 3) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.{digits}g}{unit}"
    return f"{number:g}"
