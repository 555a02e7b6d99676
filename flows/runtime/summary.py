"""What a person wants to see when the pipeline has ended: stages, main metrics, samples, and where to look further."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.runtime.stage_graph import StageResult
from tasks.context.environment import Environment
from tasks.tracking import experiment_page

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EVALUATION = Path("reports/evaluate")
SAMPLES = Path("reports/evaluate/samples.json")
REPORT = Path("reports/evaluate/report.html")
OF_GIT = ("dvc.lock", "reports/metrics.json")
SAMPLE_LINES = 8
SAMPLE_WIDTH = 96


CLEAN = "_clean"
"""Ends the names of figures on test documents that share no text with the training split."""


@dataclass(frozen=True)
class Headline:
    """A measure by which the models of a part of the evaluation are compared, and how it is called."""

    part: str
    measure: str
    title: str


HEADLINES = (
    Headline("language_model", "bits_per_byte_clean", "bits per byte (clean)"),
    Headline("language_model", "bits_per_byte", "bits per byte (all)"),
    Headline("language_model", "perplexity_clean", "perplexity (clean)"),
    Headline("language_model", "perplexity", "perplexity (all)"),
    Headline("language_model", "pseudo_bits_per_byte_clean", "pseudo bits per byte (clean)"),
    Headline("language_model", "pseudo_perplexity_clean", "pseudo-perplexity (clean)"),
    Headline("language_model", "bits_per_masked_token_clean", "bits per masked token (clean)"),
    Headline("classifier", "accuracy_clean", "accuracy (clean)"),
    Headline("classifier", "accuracy", "accuracy (all)"),
    Headline("completion", "chrf_clean", "chrF (clean)"),
    Headline("completion", "bleu_clean", "BLEU (clean)"),
)


def show_summary(results: Sequence[StageResult], environment: Environment) -> None:
    """Print the end of a pipeline run."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_stages(results))
    for result in results:
        for output in result.restored:
            console.print(f"{result.name}: from DVC's cache: {output}", soft_wrap=True)
    if rows := list(metric_rows()):
        console.print(_metrics(rows))
    _show_samples(console, _read(SAMPLES, []))
    _show_addresses(console, environment)
    if _is_to_be_committed():
        console.print(
            f"\nTo compare experiments with this run: git add {' '.join(OF_GIT)} && git commit", soft_wrap=True
        )


def _is_to_be_committed() -> bool:
    """Whether the run's results are not committed yet; DVC needs a commit to compare experiments with."""
    command = ["git", "status", "--porcelain", "--", *OF_GIT]
    return bool(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


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
        "measure",
        "model",
        title="Main metrics (clean: no text shared with training; bits, perplexity: less is better)",
        title_justify="left",
    )
    for name in ("value", "interval"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def metric_rows() -> Iterator[tuple[str, str, str, str]]:
    """Measure (once for the models that share it), model, value, and interval."""
    for headline in HEADLINES:
        found = _read(EVALUATION / f"{headline.part}.json", {})
        figures, names = found.get("metrics", {}), found.get("names", {})
        title, measure = headline.title, headline.measure
        if (
            not 0 < figures.get(f"n_documents{CLEAN}", 0) < figures.get("n_documents", 0)
        ):  # there is nothing to tell apart
            if not measure.endswith(CLEAN):
                continue
            title, measure = title.removesuffix(" (clean)"), measure.removesuffix(CLEAN)
        for model, name in names.items():
            if figure := figures.get(model, {}).get(measure):
                value, low, high = (f"{figure[key]:.3f}" for key in ("value", "low", "high"))
                yield title, name, value, f"{low} to {high}"
                title = ""


def _show_samples(console: "Console", samples: Sequence[dict[str, str]]) -> None:
    from rich.text import Text

    if samples:
        console.print("Samples from the language model", style="italic")
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
