"""The page of a corpus: its statistics as pictures and tables, and what was dropped from it, with examples."""

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

from lmcore.text.cleaning.masked_columns import masking_parts
from lmcore.text.cleaning.reasons import SETTINGS
from lmcore.text.describing.excerpts import excerpt
from lmcore.text.describing.ledger import examples_of, rules_of
from lmcore.text.words.segmentation import shortened

TEMPLATE = "page.html.jinja"
EXAMPLES_PER_RULE = 3
ANNOTATED = ("tags", "lemmas", "entities", "entity_names")
"""Statistics that only a trained pipeline gives."""
EXCERPT_CHARACTERS, LABEL_CHARACTERS = 220, 30
SHOWN_BARS, SHOWN_ROWS = 20, 30
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


def render_page(
    statistics: Mapping[str, Any], summary: Mapping[str, Any], ledger: Path, mask: Callable[[str], str]
) -> str:
    """One self-contained HTML page; equal input gives equal bytes.

    Args:
        statistics: what :func:`lmcore.text.cleaning.statistics.merge_statistics` gave.
        summary: of the cleaning.
        ledger: of the cleaning.
        mask: makes personal data in examples unreadable.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["words"] = in_words
    pictures = {
        "length": _bars(
            [_short(row["words"], digits=1) for row in statistics["length"]],
            [row["documents"] for row in statistics["length"]],
            "words in a document, from",
            "documents",
        ),
        "growth": _growth(statistics["vocabulary_growth"]),
        "words": _ranking(statistics["frequent_words"]),
        **{name: _ranking(statistics[name]) if statistics[name] else None for name in ANNOTATED},
        "drops": _ranking(_by_count(summary["dropped_by_reason"])) if summary["dropped"] else None,
    }
    mask_place = masking_parts(mask)
    examples = examples_of(ledger, EXAMPLES_PER_RULE, seed=0)
    rules = [
        {
            **rule,
            "setting": SETTINGS.get(rule["rule"]),
            "examples": [
                {
                    **row,
                    "excerpt": excerpt(row, EXCERPT_CHARACTERS, mask),
                    "place": mask_place(row["name"] or row["path"]),
                }
                for row in examples[rule["rule"]]
            ],
        }
        for rule in rules_of(ledger)
    ]
    groups = {**statistics["groups"], "label": sorted(statistics["groups"]["label"], key=lambda row: str(row["name"]))}
    return environment.get_template(TEMPLATE).render(
        statistics=statistics, groups=groups, n_shown=SHOWN_ROWS, summary=summary, pictures=pictures, rules=rules
    )


def in_words(rule: str) -> str:
    """A rule's name as people write: ``too_short`` is "too short"."""
    return rule.replace("_", " ")


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


def _ranking(counts: Sequence[Mapping[str, Any]]) -> Markup:
    """A bar for each name, the largest first, with its number beside it: a short bar is read all the same."""
    shown = list(reversed(counts[:SHOWN_BARS]))

    def draw(axes: Axes) -> None:
        # Drawing a label takes minutes where a "word" has the length of a book; a dollar sign begins no formula.
        names = [shortened(in_words(row["name"]), LABEL_CHARACTERS).replace("$", r"\$") for row in shown]
        bars = axes.barh(range(len(shown)), [row["count"] for row in shown], color=COLORS["first"])
        axes.set_yticks(range(len(shown)), names)
        axes.bar_label(bars, [f"{row['count']:,}" for row in shown], padding=3, color=COLORS["muted"])
        axes.margins(x=0.15)
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
