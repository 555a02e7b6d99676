"""The corpus page: statistics as plots and tables, and the decisions of cleaning with examples."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lmcore.text.cleaning.masked_columns import path_mask
from lmcore.text.cleaning.personal_data import MASKED
from lmcore.text.cleaning.reasons import RULES, Rule
from lmcore.text.describing.excerpts import excerpt
from lmcore.text.describing.ledger import examples_of, rules_of
from lmcore.text.words.segmentation import shortened

TEMPLATE = "page.html.jinja"
EXAMPLES_PER_RULE = 3
ANNOTATED = ("tags", "lemmas", "entities", "entity_names")
"""Statistics that are available only with a trained pipeline."""
EXCERPT_CHARACTERS, LABEL_CHARACTERS = 220, 30
SHOWN_BARS, SHOWN_ROWS = 20, 30
PLOT_WIDTH, PLOT_HEIGHT = 5.2, 2.4
"""In inches; a plot is scaled to its column, so a smaller width makes its text larger."""
# The page defines the same colors as CSS variables, so that plots follow its light and dark themes.
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


def render_page(
    statistics: Mapping[str, Any], summary: Mapping[str, Any], ledger: Path, mask: Callable[[str], str]
) -> str:
    """Render a self-contained HTML page; equal input gives equal bytes.

    Args:
        statistics: the result of :func:`lmcore.text.cleaning.statistics.merge_statistics`.
        summary: the summary of cleaning.
        ledger: the ledger that cleaning wrote.
        mask: masks personal data in a text.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["words"] = in_words
    plots = {
        "length": _bars(
            [_short(row["words"], digits=1) for row in statistics["length"]],
            [row["documents"] for row in statistics["length"]],
            "words per document (start of the bin)",
            "documents",
        ),
        "growth": _growth(statistics["vocabulary_growth"]),
        "words": _ranking(statistics["frequent_words"]),
        **{name: _ranking(statistics[name]) if statistics[name] else None for name in ANNOTATED},
        "drops": _ranking(_by_count(summary["dropped_by_reason"])) if summary["dropped"] else None,
    }
    groups = {**statistics["groups"], "label": sorted(statistics["groups"]["label"], key=lambda row: str(row["name"]))}
    return environment.get_template(TEMPLATE).render(
        tiles=_tiles(summary),
        groups=groups,
        n_shown=SHOWN_ROWS,
        summary=summary,
        plots=plots,
        rules=_rules_by_action(ledger, mask),
    )


def _tiles(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names and values of the corpus's main numbers."""
    tiles = [
        ("documents collected", f"{summary['input']:,}"),
        ("documents dropped", f"{summary['dropped']:,}"),
        ("documents kept", f"{summary['kept']:,}"),
        ("words kept", f"{summary['words']:,}"),
        ("size", f"{summary['bytes'] / 1e6:,.1f} MB"),
    ]
    return [*tiles, ("read errors", f"{summary['unreadable']:,}")] if summary["unreadable"] else tiles


def _rules_by_action(ledger: Path, mask: Callable[[str], str]) -> dict[str, list[dict[str, Any]]]:
    """The rules that dropped, changed or could not read something, with their settings and examples."""
    mask_path = path_mask(mask)
    examples = examples_of(ledger, EXAMPLES_PER_RULE, seed=0)
    rules: dict[str, list[dict[str, Any]]] = {"dropped": [], "changed": [], "unreadable": []}
    for rule in rules_of(ledger):
        name, action = rule["rule"], rule["action"]
        masks = Rule("personal_data.kinds", "personal data was masked") if name.startswith(MASKED) else None
        known = RULES.get(name, masks) if action != "unreadable" else None
        rows = [
            {
                **row,
                "excerpt": excerpt(row, EXCERPT_CHARACTERS, mask),
                "origin": mask_path(row["name"] or row["path"]),
            }
            for row in examples[name]
            if row["action"] == action
        ]
        rules[action].append(rule | (known or Rule(None, ""))._asdict() | {"examples": rows})
    return rules


def in_words(name: str) -> str:
    """The name of a rule as words: ``too_short`` is "too short"."""
    return name.replace("_", " ")


def _bars(names: Sequence[str], counts: Sequence[int], x_label: str, y_label: str) -> Markup:
    last = max((index for index, count in enumerate(counts) if count), default=0) + 1

    # More than a dozen labels would overlap.
    step = 1 if last <= 12 else 2

    def draw(axes: Axes) -> None:
        axes.bar(range(last), counts[:last], color=COLORS["first"])
        axes.set_xticks(range(0, last, step), names[:last:step])
        axes.set(xlabel=x_label, ylabel=y_label)

    return _plot(draw, PLOT_HEIGHT)


def _growth(points: Sequence[Mapping[str, int]]) -> Markup:
    def draw(axes: Axes) -> None:
        words, distinct = ([point[name] for point in points] for name in ("words", "distinct_words"))
        axes.plot(words, distinct, color=COLORS["first"])
        axes.set(xlabel="words read", ylabel="distinct words")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: _short(value))

    return _plot(draw, PLOT_HEIGHT)


def _by_count(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = [{"name": name, "count": count} for name, count in counts.items()]
    return sorted(rows, key=lambda row: (-row["count"], row["name"]))


def _ranking(counts: Sequence[Mapping[str, Any]]) -> Markup:
    """A horizontal bar for each name, largest first, labeled with its count."""
    shown = list(reversed(counts[:SHOWN_BARS]))

    def draw(axes: Axes) -> None:
        # Labels are shortened because drawing one as long as a book takes minutes, and dollar signs escaped because
        # they would start a formula.
        names = [shortened(in_words(row["name"]), LABEL_CHARACTERS).replace("$", r"\$") for row in shown]
        bars = axes.barh(range(len(shown)), [row["count"] for row in shown], color=COLORS["first"])
        axes.set_yticks(range(len(shown)), names)
        axes.bar_label(bars, [f"{row['count']:,}" for row in shown], padding=3, color=COLORS["muted"])
        axes.margins(x=0.15)
        axes.xaxis.set_major_formatter(lambda value, _: _short(value))

    return _plot(draw, 0.6 + 0.22 * len(shown))


def _plot(draw: Callable[[Axes], None], height: float) -> Markup:
    with mpl.rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # The text of the SVG stays text, and the browser has the glyphs that matplotlib's font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(PLOT_WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for name, color in COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    # Without a size of its own, it is as wide as its container.
    return Markup(re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2))


def _short(number: float, digits: int = 3) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.{digits}g}{unit}"
    return f"{number:g}"
