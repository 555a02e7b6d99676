"""Gathers what the other steps have found: the metrics, the report, and the rows of the models."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.contamination import CLEAN
from lmcore.evaluation.names import MODEL, family_name, sized_name, training_data
from lmcore.evaluation.plots import Curve
from lmcore.evaluation.report import ModelTitle, ReportContent, Training, render_figures, render_report
from lmcore.models.folder import read_description
from lmcore.runtime.files import write_json, write_text
from tasks import tracking
from tasks.context.environment import Environment
from tasks.context.prefect import task

FOUND = ("language_model", "classifier", "completion")
"""What is measured, as in ``metrics.json`` and as the files of the steps are called."""

HEADLINES = {
    "language_model": ("bits_per_byte", "pseudo_bits_per_byte", "bits_per_masked_token"),
    "classifier": ("accuracy",),
    "completion": ("chrf",),
}
"""By which measures the models of each part are chosen, as far as their families have them."""

FIGURES = ("bits-per-byte.svg", "pseudo-bits-per-byte.svg", "bits-per-masked-token.svg")
ARTIFACTS = {
    "language_model": ("report.html", "samples.json", "bits_per_byte.csv", "contamination.csv", *FIGURES),
    "classifier": ("report.html", "confusion.csv"),
    "completion": ("report.html", "completion.json"),
}
DATA_CARD = ("card.md", "card.json")


@dataclass(frozen=True)
class ReportInputs:
    """Where the report finds what other stages left."""

    clean: Path
    tokens: Path
    language_model: Path
    finetuned: Path
    pretrain_curves: Path
    finetune_curves: Path


@task
def write_metrics(*, output: Path, metrics: Path) -> None:
    """Write all figures into ``metrics.json`` in ``output``, and those by which models are chosen into ``metrics``.

    The second file is flat and has a handful of values, which ``dvc metrics`` and ``dvc exp show`` have room for.
    """
    figures = {name: found["figures"] for name, found in _read_found(output).items() if "figures" in found}
    write_json(output / "metrics.json", figures)
    write_json(metrics, dict(_headlines(figures)))


@task
def write_report(config: EvaluateConfig, parameters: Mapping[str, Any], inputs: ReportInputs, *, output: Path) -> None:
    """Write ``report.html`` and its figures into ``output``; ``parameters`` are all of ``params.yaml``."""
    content = ReportContent(
        **_read_found(output),
        contamination=_read(output / "contamination.json"),
        model=_describe(inputs, parameters),
        samples=_read(output / "samples.json"),
        trainings=_read_trainings(inputs),
        clean_summary=_read(inputs.clean / "summary.json"),
        token_summary=_read(inputs.tokens / "summary.json"),
        parameters=parameters,
    )
    write_text(output / "report.html", render_report(content, config))
    for name, figure in render_figures(content).items():
        write_text(output / name, figure)


@task
def track_evaluation(
    environment: Environment, *, clean: Path, language_model: Path, finetuned: Path, output: Path
) -> None:
    """Add figures, artifacts and the data card to the row of every model that was evaluated."""
    folders = {
        "language_model": language_model,
        "classifier": finetuned / "classifier",
        "completion": finetuned / "completion",
    }
    for name, found in _read_found(output).items():
        if "figures" not in found:
            continue
        files = [*(output / artifact for artifact in ARTIFACTS[name]), *(clean / card for card in DATA_CARD)]
        own, others = found["figures"][MODEL], {k: v for k, v in found["figures"].items() if k != MODEL}
        tracking.log_evaluation(
            environment,
            model=name.replace("_", "-"),
            folder=folders[name],
            metrics={**own, **others},
            artifacts=[file for file in files if file.exists()],
        )


def _headlines(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The first measures of each part that its model has, on clean documents where there are any."""
    for part, measures in HEADLINES.items():
        own = figures.get(part, {}).get(MODEL, {})
        for measure in measures:
            name = f"{measure}{CLEAN}" if f"{measure}{CLEAN}" in own else measure
            if name in own:
                yield name, round(own[name]["value"], 4)
    language_model = figures.get("language_model", {}).get(MODEL, {})
    if "bits_per_byte" in language_model:
        yield "bits_per_byte", round(language_model["bits_per_byte"]["value"], 4)


def _read_found(output: Path) -> dict[str, Any]:
    return {name: _read(output / f"{name}.json") for name in FOUND}


def _describe(inputs: ReportInputs, parameters: Mapping[str, Any]) -> ModelTitle:
    config, record = read_description(inputs.language_model).model, _read(inputs.language_model / "record.json")
    sources = [source["name"] for source in parameters.get("collect", {}).get("sources", [])]
    split = _read(inputs.tokens / "summary.json")["splits"]["train"]
    return ModelTitle(family_name(config), sized_name(config, record), training_data(sources, split, record))


def _read_trainings(inputs: ReportInputs) -> list[Training]:
    places = [
        ("Language model", inputs.language_model, inputs.pretrain_curves, "nats per token"),
        ("Classifier", inputs.finetuned / "classifier", inputs.finetune_curves / "classifier", "nats per document"),
        ("Completion", inputs.finetuned / "completion", inputs.finetune_curves / "completion", "nats per token"),
    ]
    return [
        Training(
            title=title,
            record=_read(folder / "record.json"),
            curves=[
                Curve("training", _read_points(curves / "training.csv", "loss")),
                Curve("validation", _read_points(curves / "validation.csv", "validation_loss")),
            ],
            loss_unit=unit,
        )
        for title, folder, curves, unit in places
        if folder.exists()
    ]


def _read_points(path: Path, column: str) -> list[tuple[float, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(float(row["step"]), float(row[column])) for row in csv.DictReader(file)]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
