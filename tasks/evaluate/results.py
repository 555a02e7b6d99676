"""What is evaluated, and the results of the evaluations as files."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from lmcore.evaluation.probes.probe import Probe
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
        settings: the keys of its section in ``params.yaml``.
        loss_unit: unit of its training loss.
        summary: what it does, in one sentence.
        artifacts: files of the evaluation that are logged with its run, besides the report, its card and its curves.
        is_prompted: whether it answers prompts, and is compared with baselines that do.
        items: what it is evaluated on, if not on prompts.
        is_trained: whether the model was trained for it; if not, it is a use of another part's model.
    """

    name: str
    title: str
    folder: str | None
    settings: tuple[str, ...]
    loss_unit: str
    summary: str
    artifacts: tuple[str, ...]
    is_prompted: bool = False
    items: str = "documents"
    is_trained: bool = True

    @property
    def card(self) -> str:
        """The name of the file with its model card."""
        return f"model-card-{self.name.replace('_', '-')}.md"


LIKELIHOOD_PLOTS = ("bits-per-byte.svg", "pseudo-bits-per-byte.svg", "bits-per-masked-token.svg")
PARTS = (
    Part(
        "language_model",
        "Language model",
        None,
        ("pretrain",),
        "nats per token",
        "Scores texts and continues them; the other models of this pipeline start from it.",
        ("samples.json", "bits_per_byte.csv", "document_bits.csv", "contamination.csv", *LIKELIHOOD_PLOTS),
    ),
    Part(
        "classifier",
        "Classifier",
        "classifier",
        ("finetune", "classification"),
        "nats per text",
        "Predicts the label of a text.",
        ("confusion.csv", "reliability.svg"),
        items="texts",
    ),
    Part(
        "completion",
        "Completion",
        "completion",
        ("finetune", "completion"),
        "nats per token",
        "Completes a prompt: a document's body with its summary line, or a question with its answer.",
        ("completion.json",),
        is_prompted=True,
    ),
    Part(
        "chat",
        "Chat",
        "chat",
        ("finetune", "chat"),
        "nats per token",
        "Holds conversations; every answer follows the reference conversation up to that turn.",
        ("chat.json",),
        is_prompted=True,
    ),
    Part(
        "dpo",
        "Preferences",
        "dpo",
        ("finetune", "dpo"),
        "nats per pair",
        "Trained on pairs of a better and a worse answer (direct preference optimization).",
        ("dpo.json",),
        is_prompted=True,
    ),
    Part(
        "grpo",
        "Rewards",
        "grpo",
        ("finetune", "grpo"),
        "per prompt",
        "Trained on its own answers with verifiable rewards (group relative policy optimization).",
        ("grpo.json",),
        is_prompted=True,
    ),
    Part(
        "prompts",
        "Prompts",
        None,
        ("evaluate", "prompts"),
        "",
        "The language model answers prompts without being trained for them; the first prompt is compared with the "
        "others and with baselines that know the training examples.",
        ("prompts.json",),
        is_prompted=True,
        is_trained=False,
    ),
)
"""All models, in the order of the report."""
ITEMS = {part.name: "prompts" if part.is_prompted else part.items for part in PARTS}
"""What is counted, by part."""
PROBES = "probes.json"


def read_probes(output: Path) -> dict[str, list[Probe]]:
    """What the probes found, by the name of the model's part."""
    found = json.loads((output / PROBES).read_text(encoding="utf-8"))
    return {part: [Probe.from_json(probe) for probe in probes] for part, probes in found.items()}


def write_result(output: Path, part: str, result: EvaluationResult) -> None:
    """Write ``<part>.json`` into ``output``, and log the headline, or why the evaluation was skipped."""
    write_json(output / f"{part}.json", result.as_json())
    title = part.replace("_", " ")
    if result.skipped is not None:
        logger.info("Skipped %s: %s", title, result.skipped)
        return
    metrics, headline, metric = result.metrics, result.headline, result.reported[0]
    is_clean = headline.endswith(CLEAN)
    logger.info(
        "%s of the %s on %d %stest %s: %s",
        metric.title,
        title,
        metrics.n_clean if is_clean else metrics.n_documents,
        "clean " if is_clean else "",
        ITEMS[part],
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
