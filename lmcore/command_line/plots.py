"""Plots of how a model reads a text: its surprisal and its attention."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lmcore.runtime.files import atomic_file

INK, MUTED, LINE = "#1d2733", "#5d6b7a", "#d9dfe5"
SURPRISAL = LinearSegmentedColormap.from_list("surprisal", ["#ffffff", "#f6d9a8", "#e08a3c", "#b3401f"])
ATTENTION = LinearSegmentedColormap.from_list("attention", ["#ffffff", "#9cc3e6", "#2f6fb2", "#12325c"])

COLUMNS = 92
"""Characters per line of the colored text."""
CHARACTER_INCHES, LINE_INCHES = 0.098, 0.27
MOST_NAMED_TOKENS = 32
"""In longer texts the axes of the attention maps show positions instead of tokens."""
MOST_HEADS_PER_ROW = 8


def draw_surprisal(path: Path, spans: Sequence[tuple[str, float]], *, title: str) -> None:
    """Write a PNG of a text, given as spans with their bits, in which each span is colored by its surprisal."""
    placed, n_lines = _lay_out(spans)
    # Without the limit, a single unpredictable token would leave all others white.
    most = max(sorted(bits for _, bits in spans)[math.ceil(0.95 * len(spans)) - 1], 1.0) if spans else 1.0
    width, height = COLUMNS * CHARACTER_INCHES, n_lines * LINE_INCHES
    with mpl.rc_context(
        {"font.family": ["DejaVu Sans Mono"], "font.size": 10.5, "text.parse_math": False, "text.color": INK}
    ):
        figure = Figure(figsize=(width + 0.6, height + 1.35), facecolor="white")
        axes = figure.add_axes(
            (0.3 / (width + 0.6), 0.85 / (height + 1.35), width / (width + 0.6), height / (height + 1.35))
        )
        axes.set_xlim(0, COLUMNS)
        axes.set_ylim(n_lines, 0)
        axes.axis("off")
        for text, bits, column, line in placed:
            intensity = min(bits / most, 1.0)
            axes.add_patch(Rectangle((column, line + 0.06), len(text), 0.88, color=SURPRISAL(intensity), linewidth=0))
            color = "white" if intensity > 0.8 else INK
            for index, character in enumerate(text):  # one by one: the font's own widths would drift from the boxes
                axes.text(column + index + 0.5, line + 0.52, character, ha="center", va="center", color=color)
        figure.text(0.3 / (width + 0.6), 1 - 0.28 / (height + 1.35), title, weight="bold", va="center", fontsize=11)
        bar = figure.add_axes((0.3 / (width + 0.6), 0.42 / (height + 1.35), 0.3, 0.13 / (height + 1.35)))
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, most), SURPRISAL)
        figure.colorbar(scale, cax=bar, orientation="horizontal", label="bits per token (darkest: this many or more)")
        bar.spines[:].set_color(LINE)
        bar.tick_params(labelsize=8, color=LINE, labelcolor=MUTED)
        bar.xaxis.label.set(size=8, color=MUTED)
        _save(figure, path)


def draw_attention(path: Path, maps: Tensor, tokens: Sequence[str], *, title: str) -> None:
    """Write a PNG of attention weights (layers, heads, length, length): a row of maps per layer."""
    num_hidden_layers, num_attention_heads, length, _ = maps.shape
    n_columns = min(num_attention_heads, MOST_HEADS_PER_ROW)
    rows_per_layer = math.ceil(num_attention_heads / n_columns)
    names = [_shortened(_visible(token)) for token in tokens] if length <= MOST_NAMED_TOKENS else None
    inches = max(1.7, 0.13 * length) if names else 1.9
    n_rows = num_hidden_layers * rows_per_layer
    margin = 0.075 * max(map(len, names)) + 0.3 if names else 0.5
    with mpl.rc_context(
        {"font.family": ["DejaVu Sans"], "text.parse_math": False, "text.color": INK, "axes.labelcolor": MUTED}
    ):
        figure = Figure(figsize=(n_columns * (inches + 0.05) + margin + 1.0, n_rows * (inches + 0.12) + margin + 0.5))
        figure.set_layout_engine("constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
        image = None
        for index in range(n_rows * n_columns):
            layer, head = divmod(index, rows_per_layer * n_columns)
            axes = grid.flat[index]
            if head >= num_attention_heads:
                axes.axis("off")
                continue
            # The square root keeps small weights visible next to large ones.
            image = axes.imshow(maps[layer, head].sqrt().numpy(), cmap=ATTENTION, vmin=0.0, vmax=1.0)
            axes.set_title(f"layer {layer + 1} · head {head + 1}", fontsize=8, color=MUTED, loc="left", pad=3)
            axes.tick_params(length=0, labelsize=7, labelcolor=INK)
            for spine in axes.spines.values():
                spine.set_color(LINE)
            if names is not None:
                axes.set_xticks(range(length), names, rotation=90, family="DejaVu Sans Mono")
                axes.set_yticks(range(length), names, family="DejaVu Sans Mono")
        figure.suptitle(title, weight="bold", fontsize=11, x=0.01, ha="left")
        figure.supxlabel("key", fontsize=9, color=MUTED)
        figure.supylabel("query", fontsize=9, color=MUTED)
        if image is not None:
            bar = figure.colorbar(image, ax=grid, shrink=min(1.0, 2.5 / (n_rows * inches)), aspect=18, pad=0.015)
            shown = (0.0, 0.05, 0.25, 0.5, 1.0)
            bar.set_ticks([math.sqrt(weight) for weight in shown], labels=[f"{weight:g}" for weight in shown])
            bar.set_label("attention weight", color=MUTED, fontsize=8)
            bar.outline.set_edgecolor(LINE)
            bar.ax.tick_params(labelsize=7, color=LINE, labelcolor=MUTED)
        _save(figure, path)


def _lay_out(spans: Sequence[tuple[str, float]]) -> tuple[list[tuple[str, float, int, int]], int]:
    """The spans, split at line ends, each with its bits, first column and line; and the number of lines."""
    placed = []
    column = line = 0
    for text, bits in spans:
        if column and column + len(text.split("\n", 1)[0]) > COLUMNS:
            column, line = 0, line + 1
        for part in text.splitlines(keepends=True):
            shown = _visible(part, space=" ")
            for start in range(0, len(shown), COLUMNS):
                if start:
                    column, line = 0, line + 1
                placed.append((shown[start : start + COLUMNS], bits, column, line))
                column += len(shown[start : start + COLUMNS])
            if part.endswith("\n"):
                column, line = 0, line + 1
    return placed, line + (1 if column else 0) or 1


def _visible(text: str, *, space: str = "\u00b7") -> str:
    """The text with visible symbols for white space and control characters."""
    text = text.replace("\n", "\u21b5").replace("\t", "\u2192").replace(" ", space)
    return "".join(character if character.isprintable() else "\u25a1" for character in text)


def _shortened(name: str, length: int = 12) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}\u2026"


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # an empty box is shown instead
        # Without the version of matplotlib, so that equal texts give equal files.
        figure.savefig(temporary, format="png", dpi=160, metadata={"Software": None})
