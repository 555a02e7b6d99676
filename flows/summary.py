"""What a person wants to see when the pipeline has ended: stages, main metrics, samples, and where to look further."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.stage_graph import StageResult
from tasks.environment import Environment
from tasks.tracking import experiment_page

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

METRICS = Path("reports/metrics.json")
SAMPLES = Path("reports/evaluate/samples.json")
REPORT = Path("reports/evaluate/report.html")
SAMPLE_LINES = 8
SAMPLE_WIDTH = 96


@dataclass(frozen=True)
class Headline:
    """A measure by which the models of a part of ``metrics.json`` are compared, and how it is called."""

    part: str
    measure: str
    title: str


HEADLINES = (
    Headline("language_model", "bits_per_byte", "bits per byte"),
    Headline("language_model", "perplexity", "perplexity"),
    Headline("classifier", "accuracy", "accuracy"),
    Headline("completion", "chrf", "chrF"),
    Headline("completion", "bleu", "BLEU"),
)


def show_summary(results: Sequence[StageResult], environment: Environment) -> None:
    """Print the end of a pipeline run."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_stages(results))
    for result in results:
        for output in result.restored:
            console.print(f"{result.name}: from DVC's cache: {output}", soft_wrap=True)
    if rows := list(_metric_rows(_read(METRICS, {}))):
        console.print(_metrics(rows))
    _show_samples(console, _read(SAMPLES, []))
    _show_addresses(console, environment)


def _stages(results: Sequence[StageResult]) -> "RenderableType":
    from rich.table import Table

    table = Table("stage", "state", title="Stages", title_justify="left")
    for name in ("seconds", "peak memory"):
        table.add_column(name, justify="right")
    for result in results:
        memory = "" if result.peak_memory_bytes is None else f"{result.peak_memory_bytes / 2**30:.2f} GiB"
        table.add_row(result.name, result.state, f"{result.seconds:.1f}", memory)
    return table


def _metrics(rows: Sequence[tuple[str, str, str, str]]) -> "RenderableType":
    from rich.table import Table

    table = Table(
        "measure", "model", title="Main metrics (bits per byte and perplexity: lower is better)", title_justify="left"
    )
    for name in ("value", "interval"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _metric_rows(metrics: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Measure (once for the models that share it), model, value, and interval."""
    for headline in HEADLINES:
        title = headline.title
        for model, figures in metrics.get(headline.part, {}).items():
            if isinstance(figures, dict) and (figure := figures.get(headline.measure)):
                value, low, high = (f"{figure[name]:.3f}" for name in ("value", "low", "high"))
                yield title, model.replace("_", " "), value, f"{low} to {high}"
                title = ""


def _show_samples(console: "Console", samples: Sequence[dict[str, str]]) -> None:
    from rich.text import Text

    if samples:
        console.print("What the language model makes of", style="italic")
    for sample in samples:
        text = Text.assemble((sample["prompt"], "bold"), sample["continuation"].rstrip())
        lines = text.wrap(console, min(console.width, SAMPLE_WIDTH))
        console.print()
        console.print(*lines[:SAMPLE_LINES], sep="\n")
        if len(lines) > SAMPLE_LINES:
            console.print("...", style="dim")


def _show_addresses(console: "Console", environment: Environment) -> None:
    mlflow = experiment_page(environment)
    prefect = (environment.prefect_api_url or "").removesuffix("/api")
    console.print()
    for title, address in (("MLflow", mlflow), ("Prefect", prefect)):
        console.print(f"{title:8} {address or 'no server answers; `make up` starts one'}", soft_wrap=True)
    if REPORT.exists():
        console.print(f"Report   {REPORT}", soft_wrap=True)


def _read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
