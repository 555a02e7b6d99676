"""Stage finetune: the language model to a classifier and a completion model.  Run: ``python -m flows.finetune``."""

import logging
import shutil
from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_file
from tasks.context.parameters import Parameters
from tasks.finetune import FinetuneFiles, finetune_classifier, finetune_completion, write_summary

logger = logging.getLogger(__name__)

MODELS = Path("models/finetuned")
CURVES = Path("reports/finetune")


def finetune(parameters: Parameters) -> None:
    """Train what ``params.yaml`` asks for; what the documents cannot feed is left out, with its reason."""
    check_named_file(parameters, "finetune", lock=Path("sources.lock"))
    config, split, environment = parameters.finetune, parameters.tokenize.split, Environment()
    for folder in (MODELS, CURVES):
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
    write_summary(MODELS / "summary.json", reasons)


def _files(model: str) -> FinetuneFiles:
    return FinetuneFiles(
        documents=Path("data/clean"),
        language_model=Path("models/language-model"),
        model_folder=MODELS / model,
        curves=CURVES / model,
    )


if __name__ == "__main__":
    run_stage(finetune)
