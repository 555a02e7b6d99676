"""The results of the evaluations as files."""

import json
import logging
from pathlib import Path

from lmcore.evaluation.result import CLEAN, EvaluationResult
from lmcore.runtime.files import write_json

logger = logging.getLogger(__name__)

PARTS = ("language_model", "classifier", "completion")
"""What is evaluated: the keys of ``metrics.json`` and the names of the result files."""


def write_result(output: Path, part: str, result: EvaluationResult) -> None:
    """Write ``<part>.json`` into ``output``, and log the headline, or why the evaluation was skipped."""
    write_json(output / f"{part}.json", result.as_json())
    title = part.replace("_", " ")
    if result.skipped is not None:
        logger.warning("The %s is not evaluated: %s", title, result.skipped)
        return
    metrics, headline, metric = result.metrics, result.headline, result.reported[0]
    is_clean = headline.endswith(CLEAN)
    logger.info(
        "%s of the %s on %d %stest documents: %s",
        metric.title,
        title,
        metrics.n_clean if is_clean else metrics.n_documents,
        "clean " if is_clean else "",
        ", ".join(f"{result.names[name]} {own[headline].value:.3f}" for name, own in metrics.models.items()),
    )


def read_results(output: Path) -> dict[str, EvaluationResult]:
    """All results in ``output`` by part."""
    return {
        part: EvaluationResult.from_json(json.loads((output / f"{part}.json").read_text(encoding="utf-8")))
        for part in PARTS
    }
