"""Gathers what the other steps have found: the metrics, the report, and the rows of the models."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.evaluation.config import EvaluateConfig
from lmcore.evaluation.plots import Curve
from lmcore.evaluation.report import ReportContent, Training, render_figures, render_report
from lmcore.files import write_json, write_text
from tasks import tracking
from tasks.environment import Environment
from tasks.step import step

FOUND = ("language_model", "classifier", "completion")
"""What is measured, as in ``metrics.json`` and as the files of the steps are called."""

ARTIFACTS = {
    "language_model": ("report.html", "samples.json", "bits_per_byte.csv", "bits-per-byte.svg"),
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


@step()
def write_metrics(*, output: Path, metrics: Path) -> None:
    """Write the figures of everything that was evaluated into one file, for ``dvc metrics``."""
    write_json(metrics, {name: found["figures"] for name, found in _read_found(output).items() if "figures" in found})


@step()
def write_report(config: EvaluateConfig, parameters: Mapping[str, Any], inputs: ReportInputs, *, output: Path) -> None:
    """Write ``report.html`` and its figures into ``output``; ``parameters`` are all of ``params.yaml``."""
    content = ReportContent(
        **_read_found(output),
        samples=_read(output / "samples.json"),
        trainings=_read_trainings(inputs),
        clean_summary=_read(inputs.clean / "summary.json"),
        token_summary=_read(inputs.tokens / "summary.json"),
        parameters=parameters,
    )
    write_text(output / "report.html", render_report(content, config))
    for name, figure in render_figures(content, config).items():
        write_text(output / name, figure)


@step()
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
        own, others = found["figures"]["neural"], {k: v for k, v in found["figures"].items() if k != "neural"}
        tracking.log_evaluation(
            environment,
            model=name.replace("_", "-"),
            folder=folders[name],
            metrics={**own, **others},
            artifacts=[file for file in files if file.exists()],
        )


def _read_found(output: Path) -> dict[str, Any]:
    return {name: _read(output / f"{name}.json") for name in FOUND}


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
