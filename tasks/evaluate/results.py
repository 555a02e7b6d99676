"""What is evaluated, and the results of the evaluations as files."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from lmcore.evaluation.result import CLEAN, EvaluationResult
from lmcore.runtime.files import write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A model that is evaluated.

    Attributes:
        name: the key of its metrics in ``metrics.json``, and the name of its result file.
        title: what it is called in the report.
        folder: its folder below that of the fine-tuned models; None for the language model.
        loss_unit: unit of its training loss.
        artifacts: files of the evaluation that are logged with its run, besides the report and its card.
        lead: of a model that answers prompts: what it does, in one sentence.
    """

    name: str
    title: str
    folder: str | None
    loss_unit: str
    artifacts: tuple[str, ...]
    lead: str | None = None


LIKELIHOOD_PLOTS = ("bits-per-byte.svg", "pseudo-bits-per-byte.svg", "bits-per-masked-token.svg")
PARTS = (
    Part(
        "language_model",
        "Language model",
        None,
        "nats per token",
        ("samples.json", "bits_per_byte.csv", "document_bits.csv", "contamination.csv", *LIKELIHOOD_PLOTS),
    ),
    Part("classifier", "Classifier", "classifier", "nats per document", ("confusion.csv", "reliability.svg")),
    Part(
        "completion",
        "Completion",
        "completion",
        "nats per token",
        ("completion.json",),
        lead="Completes a prompt: a document's body with its summary line, or a question with its answer.",
    ),
    Part(
        "chat",
        "Chat",
        "chat",
        "nats per token",
        ("chat.json",),
        lead="Holds conversations; every answer follows the conversation as it should have been until then.",
    ),
    Part(
        "dpo",
        "Preferences",
        "dpo",
        "nats per pair",
        ("dpo.json",),
        lead="Trained on pairs of a better and a worse answer (direct preference optimization).",
    ),
    Part(
        "grpo",
        "Rewards",
        "grpo",
        "per prompt",
        ("grpo.json",),
        lead="Trained on its own answers with verifiable rewards (group relative policy optimization).",
    ),
)
"""All models, in the order of the report."""


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
        ", ".join(
            f"{result.names[name]} {own[headline].value:.3f}" for name, own in metrics.models.items() if headline in own
        ),
    )


def read_results(output: Path) -> dict[str, EvaluationResult]:
    """All results in ``output`` by the name of their part."""
    return {
        part.name: EvaluationResult.from_json(json.loads((output / f"{part.name}.json").read_text(encoding="utf-8")))
        for part in PARTS
    }
