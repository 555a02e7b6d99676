"""Gathers the results of the evaluations: writes the metrics and the report, and tracks them with the models' runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.model_card.card import ModelCard, example_call, render_model_card
from lmcore.evaluation.names import MODEL, sized_name, training_data
from lmcore.evaluation.report.plots import Curve
from lmcore.evaluation.report.render import (
    CompletionPart,
    ModelTitle,
    ReportContent,
    Training,
    curves_file,
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
from tasks.evaluate.results import PARTS, Part, read_probes, read_results

DATA_CARD = ("card.md", "card.json")
UNNAMED = ("language_model", "classifier", "completion")
"""Parts whose headline has no prefix in the file of headlines."""


@dataclass(frozen=True)
class ReportInputs:
    """Folders with the outputs of other stages that the report shows."""

    clean: Path
    tokens: Path
    language_model: Path
    finetuned: Path
    pretrain_curves: Path
    finetune_curves: Path

    def model(self, part: Part) -> Path:
        """The folder of a model."""
        return self.language_model if part.folder is None else self.finetuned / part.folder


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
            CompletionPart(part.name, part.title, part.summary, results[part.name])
            for part in PARTS
            if part.is_prompted
        ],
        contamination=_read(output / "contamination.json"),
        model=_describe(inputs, parameters),
        probes=[probe for probes in read_probes(output).values() for probe in probes],
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
def track_evaluation(environment: Environment, inputs: ReportInputs, *, output: Path) -> None:
    """Log metrics, artifacts, the model card and the data card to the run of every model that was evaluated."""
    results = read_results(output)
    measured = [part for part in PARTS if results[part.name].skipped is None]
    for part in (part for part in measured if part.is_trained):
        # Uses of the same model without a training of their own belong to its run, below their names.
        uses = [use for use in measured if use.folder == part.folder and not use.is_trained]
        own = ("report.html", part.card, curves_file(part.title), *part.artifacts)
        names = (*own, *(name for use in uses for name in use.artifacts))
        files = [*(output / name for name in names), *(inputs.clean / card for card in DATA_CARD)]
        tracking.log_evaluation(
            environment,
            model=part.name.replace("_", "-"),
            folder=inputs.model(part),
            metrics=results[part.name].tracked() | {use.name: results[use.name].metrics.as_json() for use in uses},
            artifacts=[file for file in files if file.exists()],
            prompts={
                prompt["name"]: prompt["template"] for use in uses for prompt in results[use.name].details["prompts"]
            },
        )


@task
def write_model_cards(
    config: EvaluateConfig, parameters: Mapping[str, Any], inputs: ReportInputs, *, output: Path
) -> None:
    """Write a model card of every model that was evaluated into ``output``."""
    probes, data = read_probes(output), _read(inputs.clean / "card.json")
    results = read_results(output)
    for part in (part for part in PARTS if part.is_trained and results[part.name].skipped is None):
        result = results[part.name]
        training = read_training(part, inputs)
        description = read_description(inputs.model(part))
        name = sized_name(description.model, training.record)
        settings: Any = parameters
        for key in part.settings:
            settings = settings.get(key) or {}
        card = ModelCard(
            part=part.name,
            title=name if part.folder is None else f"{part.title}: {name}",
            summary=part.summary,
            example_call=example_call(description),
            architecture=description.model.model_dump(mode="json"),
            settings={key: value for key, value in settings.items() if key != "model"},
            training=training,
            curves=curves_file(part.title) if training.has_curve else None,
            result=result,
            confidence=config.bootstrap.confidence,
            samples=_samples(part, result, output),
            probes=probes.get(part.name, []),
            data=data,
        )
        write_text(output / part.card, render_model_card(card))


def _samples(part: Part, result: EvaluationResult, output: Path) -> list[dict[str, str]]:
    if part.folder is None:
        return [
            {"Prompt": row["prompt"], "Continuation": row["continuation"]} for row in _read(output / "samples.json")
        ]
    return [
        {"Prompt": row["prompt"], "Reference": row["reference"], "Completion": row[MODEL] or "(empty)"}
        for row in result.details.get("completions", [])
    ]


def _headlines(results: Mapping[str, EvaluationResult]) -> Iterator[tuple[str, float]]:
    """The headline of each part, on clean documents if there are any; the language model's also on all documents.

    Parts that may have the same headline as the completion model begin with their name.
    """
    for name, result in results.items():
        headline = result.headline
        yield (
            headline if name in UNNAMED else f"{name}_{headline}",
            round(result.metrics.models[MODEL][headline].value, 4),
        )
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
    return [read_training(part, inputs) for part in PARTS if part.is_trained and inputs.model(part).exists()]


def read_training(part: Part, inputs: ReportInputs) -> Training:
    """The record and the curves of a model's training."""
    curves = inputs.pretrain_curves if part.folder is None else inputs.finetune_curves / part.folder
    return Training(
        title=part.title,
        record=TrainingRecord.read(inputs.model(part)),
        curves=[
            _read_curve("training", curves / "training.csv", "loss"),
            _read_curve("validation", curves / "validation.csv", "validation_loss"),
        ],
        loss_unit=part.loss_unit,
    )


def _read_curve(name: str, path: Path, column: str) -> Curve:
    return Curve(name, [(float(row["step"]), float(row[column])) for row in read_csv(path)])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
