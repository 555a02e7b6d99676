"""Stage finetune: the language model to a classifier and a completion model.  Run: ``python -m flows.finetune``."""

import logging
import shutil

from flows.paths import CLEAN, FINETUNE_CURVES, FINETUNED_MODELS, LANGUAGE_MODEL, LOCK
from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_file
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow
from tasks.finetune import FinetuneFiles, finetune_classifier, finetune_completion, write_summary

logger = logging.getLogger(__name__)


@flow
def finetune(parameters: Parameters, environment: Environment) -> None:
    """Train the models that ``params.yaml`` configures; skip one that the documents have no data for, and say why."""
    check_named_file(parameters, "finetune", lock=LOCK)
    config, split = parameters.finetune, parameters.tokenize.split
    for folder in (FINETUNED_MODELS, FINETUNE_CURVES):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    skipped = {}
    if config.classification:
        files = _files("classifier")
        skipped["classifier"] = finetune_classifier(config.classification, split, config.seed, environment, files)
    if config.completion:
        files = _files("completion")
        skipped["completion"] = finetune_completion(config.completion, split, config.seed, environment, files)
    reasons = {model: reason for model, reason in skipped.items() if reason}
    for model, reason in reasons.items():
        logger.warning("%s is not trained: %s", model, reason)
    write_summary(FINETUNED_MODELS / "summary.json", reasons)


def _files(model: str) -> FinetuneFiles:
    return FinetuneFiles(
        documents=CLEAN,
        language_model=LANGUAGE_MODEL,
        model_folder=FINETUNED_MODELS / model,
        curves=FINETUNE_CURVES / model,
    )


if __name__ == "__main__":
    run_stage(finetune)
