"""Gathers the results of the evaluations: writes the metrics and the report, and tracks them with the models' runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.names import MODEL, sized_name, training_data
from lmcore.evaluation.report.plots import Curve
from lmcore.evaluation.report.render import (
    CompletionPart,
    ModelTitle,
    ReportContent,
    Training,
    render_plots,
    render_report,
)
from lmcore.evaluation.result import EvaluationResult
from lmcore.models.folder import read_description
from lmcore.runtime.files import read_csv, write_json, write_text
from lmcore.training.record import TrainingRecord
from tasks import tracking
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.evaluate.results import PARTS, read_results

DATA_CARD = ("card.md", "card.json")


@dataclass(frozen=True)
class ReportInputs:
    """Folders with the outputs of other stages that the report shows."""

    clean: Path
    tokens: Path
    language_model: Path
    finetuned: Path
    pretrain_curves: Path
    finetune_curves: Path


@task
def write_metrics(*, output: Path, metrics: Path) -> None:
    """Write all metrics into ``metrics.json`` in ``output``, and the headlines by which models are compared into
    ``metrics``: a few values without nesting, for which ``dvc metrics`` and ``dvc exp show`` have room."""
    results = read_results(output)
    measured = {part: result for part, result in results.items() if result.skipped is None}
    write_json(output / "metrics.json", {part: result.metrics.as_json() for part, result in measured.items()})
    write_json(metrics, dict(_headlines(measured)))


@task
def write_report(config: EvaluateConfig, parameters: Mapping[str, Any], inputs: ReportInputs, *, output: Path) -> None:
    """Write ``report.html`` and its plots into ``output``; ``parameters`` is the whole of ``params.yaml``."""
    results = read_results(output)
    content = ReportContent(
        language_model=results["language_model"],
        classifier=results["classifier"],
        completions=[
            CompletionPart(part.name, part.title, part.lead, results[part.name]) for part in PARTS if part.lead
        ],
        contamination=_read(output / "contamination.json"),
        model=_describe(inputs, parameters),
        samples=_read(output / "samples.json"),
        trainings=_read_trainings(inputs),
        clean_summary=_read(inputs.clean / "summary.json"),
        token_summary=_read(inputs.tokens / "summary.json"),
        parameters=parameters,
    )
    write_text(output / "report.html", render_report(content, config))
    for name, plot in render_plots(content).items():
        write_text(output / name, plot)


@task
def track_evaluation(
    environment: Environment, *, clean: Path, language_model: Path, finetuned: Path, output: Path
) -> None:
    """Log metrics, artifacts and the data card to the run of every model that was evaluated."""
    results = read_results(output)
    for part in PARTS:
        if results[part.name].skipped is not None:
            continue
        files = [*(output / name for name in ("report.html", *part.artifacts)), *(clean / card for card in DATA_CARD)]
        tracking.log_evaluation(
            environment,
            model=part.name.replace("_", "-"),
            folder=language_model if part.folder is None else finetuned / part.folder,
            metrics=results[part.name].tracked(),
            artifacts=[file for file in files if file.exists()],
        )


def _headlines(results: Mapping[str, EvaluationResult]) -> Iterator[tuple[str, float]]:
    """The headline of each part, on clean documents if there are any; the language model's also on all documents."""
    for result in results.values():
        headline = result.headline
        yield headline, round(result.metrics.models[MODEL][headline].value, 4)
    if "language_model" in results:
        own = results["language_model"].metrics.models[MODEL]
        if "bits_per_byte" in own:
            yield "bits_per_byte", round(own["bits_per_byte"].value, 4)


def _describe(inputs: ReportInputs, parameters: Mapping[str, Any]) -> ModelTitle:
    config, record = read_description(inputs.language_model).model, TrainingRecord.read(inputs.language_model)
    sources = [source["name"] for source in parameters.get("collect", {}).get("sources", [])]
    split = _read(inputs.tokens / "summary.json")["splits"]["train"]
    return ModelTitle(config.display_name, sized_name(config, record), training_data(sources, split, record))


def _read_trainings(inputs: ReportInputs) -> list[Training]:
    trainings = [
        (part.title, inputs.language_model, inputs.pretrain_curves, part.loss_unit)
        if part.folder is None
        else (part.title, inputs.finetuned / part.folder, inputs.finetune_curves / part.folder, part.loss_unit)
        for part in PARTS
    ]
    return [
        Training(
            title=title,
            record=TrainingRecord.read(folder),
            curves=[
                _read_curve("training", curves / "training.csv", "loss"),
                _read_curve("validation", curves / "validation.csv", "validation_loss"),
            ],
            loss_unit=unit,
        )
        for title, folder, curves, unit in trainings
        if folder.exists()
    ]


def _read_curve(name: str, path: Path, column: str) -> Curve:
    return Curve(name, [(float(row["step"]), float(row[column])) for row in read_csv(path)])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
