"""The summary at the end of a pipeline run: stages, main metrics, samples, and where to find more."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.paths import EVALUATION, METRICS
from flows.runtime.stage_graph import StageResult
from lmcore.evaluation.result import CLEAN, EvaluationResult
from tasks.context.environment import Environment
from tasks.tracking import experiment_page

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SAMPLES = EVALUATION / "samples.json"
REPORT = EVALUATION / "report.html"
COMMITTED_RESULTS = ("dvc.lock", str(METRICS))
SAMPLE_LINES = 8
SAMPLE_WIDTH = 96


@dataclass(frozen=True)
class Headline:
    """A metric by which the models in a part of the evaluation are compared, and its title."""

    part: str
    metric: str
    title: str


LIKELIHOODS = (
    Headline("language_model", "bits_per_byte_clean", "Bits per byte (clean)"),
    Headline("language_model", "bits_per_byte", "Bits per byte (all)"),
    Headline("language_model", "perplexity_clean", "Perplexity (clean)"),
    Headline("language_model", "pseudo_bits_per_byte_clean", "Pseudo bits per byte (clean)"),
    Headline("language_model", "pseudo_perplexity_clean", "Pseudo-perplexity (clean)"),
    Headline("language_model", "bits_per_masked_token_clean", "Bits per masked token (clean)"),
)
FINETUNED = ("classifier", "completion", "chat", "dpo", "grpo")
"""The parts whose results name the metric by which models are compared."""


def show_summary(results: Sequence[StageResult], environment: Environment) -> None:
    """Print the summary of a pipeline run."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_stage_table(results))
    for result in results:
        for output in result.restored:
            console.print(f"{result.name}: from DVC's cache: {output}", soft_wrap=True)
    if rows := list(metric_rows()):
        console.print(_metric_table(rows))
    _show_samples(console, _read_json(SAMPLES, []))
    _show_addresses(console, environment)
    if _is_uncommitted():
        console.print(
            f"\nTo compare experiments with this run: git add {' '.join(COMMITTED_RESULTS)} && git commit",
            soft_wrap=True,
        )


def _is_uncommitted() -> bool:
    """Whether the run's results are not committed yet, which DVC needs to compare experiments with them."""
    command = ["git", "status", "--porcelain", "--", *COMMITTED_RESULTS]
    return bool(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def _stage_table(results: Sequence[StageResult]) -> "RenderableType":
    from rich.table import Table

    table = Table("stage", "state", title="Stages", title_justify="left")
    for name in ("seconds", "peak memory"):
        table.add_column(name, justify="right")
    for result in results:
        memory = "" if result.peak_memory_bytes is None else f"{result.peak_memory_bytes / 2**30:.2f} GiB"
        table.add_row(result.name, result.state, f"{result.seconds:.1f}", memory)
    return table


def _metric_table(rows: Sequence[tuple[str, str, str, str]]) -> "RenderableType":
    from rich.table import Table

    table = Table(
        "metric",
        "model",
        title="Main metrics (clean: no text shared with training; bits and perplexity: lower is better)",
        title_justify="left",
    )
    for name in ("value", "interval"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def metric_rows() -> Iterator[tuple[str, str, str, str]]:
    """The metric (once, in its first row), the model, the value, and the confidence interval."""
    for headline in (*LIKELIHOODS, *_headlines_of_finetuned()):
        found = _read_json(EVALUATION / f"{headline.part}.json", {})
        metrics, names = found.get("metrics", {}), found.get("names", {})
        title, metric = headline.title, headline.metric
        are_some_clean = 0 < metrics.get(f"n_documents{CLEAN}", 0) < metrics.get("n_documents", 0)
        if not are_some_clean:  # but all of them, or none: both metrics are the same
            if not metric.endswith(CLEAN):
                continue
            title, metric = title.removesuffix(" (clean)"), metric.removesuffix(CLEAN)
        for model, name in names.items():
            if estimate := metrics.get(model, {}).get(metric):
                value, low, high = (f"{estimate[key]:.3f}" for key in ("value", "low", "high"))
                yield title, name, value, f"{low} to {high}"
                title = ""


def _headlines_of_finetuned() -> Iterator[Headline]:
    for part in FINETUNED:
        result = EvaluationResult.from_json(
            _read_json(EVALUATION / f"{part}.json", {"skipped": "it was not evaluated"})
        )
        if result.skipped is None and result.reported:
            name = result.headline.removesuffix(CLEAN)
            title = next(metric.title for metric in result.reported if metric.name == name)
            yield Headline(part, f"{name}{CLEAN}", f"{title} (clean)")


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


def _read_json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
