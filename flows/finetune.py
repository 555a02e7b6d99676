"""Stage finetune: the language model to models of several kinds.  Run: ``python -m flows.finetune``."""

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
from tasks.finetune import (
    FinetuneFiles,
    finetune_chat,
    finetune_classifier,
    finetune_completion,
    finetune_dpo,
    finetune_grpo,
    write_summary,
)

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
    settings = (split, config.seed, environment)
    if config.classification:
        skipped["classifier"] = _without_base(config.classification, skipped) or finetune_classifier(
            config.classification, *settings, _files("classifier", pinned)
        )
    if config.completion:
        skipped["completion"] = _without_base(config.completion, skipped) or finetune_completion(
            config.completion, *settings, _files("completion", pinned)
        )
    if config.chat:
        skipped["chat"] = _without_base(config.chat, skipped) or finetune_chat(
            config.chat, *settings, _files("chat", pinned)
        )
    if config.dpo:
        skipped["dpo"] = _without_base(config.dpo, skipped) or finetune_dpo(
            config.dpo, *settings, _files("dpo", pinned)
        )
    if config.grpo:
        skipped["grpo"] = _without_base(config.grpo, skipped) or finetune_grpo(
            config.grpo, *settings, _files("grpo", pinned)
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
