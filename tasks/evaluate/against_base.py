"""Evaluates models trained on preferences or rewards on test conversations, compared with their base models."""

from collections.abc import Callable
from pathlib import Path

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.chat.examples import CHAT_COLUMNS, conversations
from lmcore.text.documents.shards import read_documents
from tasks.context.prefect import task
from tasks.evaluate.dpo import compare_preferences
from tasks.evaluate.grpo import compare_rewards
from tasks.evaluate.models import BaseModels, why_absent
from tasks.evaluate.results import write_result

COMPARISONS: dict[str, Callable[..., EvaluationResult]] = {"dpo": compare_preferences, "grpo": compare_rewards}


@task
def evaluate_against_base(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    base_models: BaseModels,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``dpo.json`` and ``grpo.json`` into ``output``: metrics, and both models' results for each test prompt."""
    for name, compare in COMPARISONS.items():
        if (reason := why_absent(models, name)) is not None:
            write_result(output, name, EvaluationResult(skipped=reason))
            continue
        settings = getattr(finetune, name)
        if settings is None:
            raise UserError(
                f"there is a model for {name}, but finetune.{name} is null in params.yaml: run `dvc repro finetune`"
            )
        test = conversations(read_documents(documents, CHAT_COLUMNS), split)["test"]
        own, base = base_models.load(str(models / name)), base_models.load(settings.init_from)
        write_result(output, name, compare(own, base, test, settings, config, output))
