"""Stage finetune: the language model to a classifier and a completion model.  Run: ``python -m flows.finetune``."""

import logging
import shutil
from collections.abc import Mapping, Sequence

from flows.paths import CLEAN, FINETUNE_CURVES, FINETUNED_MODELS, LANGUAGE_MODEL, LOCK
from flows.runtime.stage import run_stage
from lmcore.config.finetune import SectionConfig
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_files
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow
from tasks.context.source_lock import NamedFile
from tasks.finetune import FinetuneFiles, finetune_classifier, finetune_completion, write_summary

logger = logging.getLogger(__name__)


@flow
def finetune(parameters: Parameters, environment: Environment) -> None:
    """Train the models that ``params.yaml`` configures; skip one that the documents have no data for, and say why."""
    pinned = check_named_files(parameters, "finetune", lock=LOCK)
    config, split = parameters.finetune, parameters.tokenize.split
    for folder in (FINETUNED_MODELS, FINETUNE_CURVES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    skipped: dict[str, str | None] = {}
    if config.classification:
        files = _files("classifier", pinned)
        skipped["classifier"] = _without_base(config.classification, skipped) or finetune_classifier(
            config.classification, split, config.seed, environment, files
        )
    if config.completion:
        files = _files("completion", pinned)
        skipped["completion"] = _without_base(config.completion, skipped) or finetune_completion(
            config.completion, split, config.seed, environment, files
        )
    reasons = {model: reason for model, reason in skipped.items() if reason}
    for model, reason in reasons.items():
        logger.warning("%s is not trained: %s", model, reason)
    write_summary(FINETUNED_MODELS / "summary.json", reasons)


def _without_base(config: SectionConfig, skipped: Mapping[str, str | None]) -> str | None:
    """Why a model cannot be trained: the fine-tuned model that it starts from is not."""
    is_skipped = skipped.get(config.init_from) is not None
    return f"it starts from the model {config.init_from}, which is not trained" if is_skipped else None


def _files(model: str, pinned: Sequence[NamedFile]) -> FinetuneFiles:
    return FinetuneFiles(
        documents=CLEAN,
        language_model=LANGUAGE_MODEL,
        model_folder=FINETUNED_MODELS / model,
        curves=FINETUNE_CURVES / model,
        pinned=pinned,
    )


if __name__ == "__main__":
    run_stage(finetune)
