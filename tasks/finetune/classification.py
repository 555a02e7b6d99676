"""Fine-tunes a classifier of documents."""

import torch

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.adaptation import add_adapters, initialize_from_vectors
from lmcore.finetuning.classification.classifier import save_classifier
from lmcore.finetuning.classification.examples import CLASSIFICATION_COLUMNS
from lmcore.finetuning.classification.preparation import (
    choose_classification_data,
    classification_batches,
    classifier_on,
)
from lmcore.models.device import pick_device
from lmcore.models.families import build_model
from lmcore.models.folder import load_language_model
from lmcore.models.lora import merge_and_unload
from lmcore.models.trainable import TextEncoder
from lmcore.text.documents.shards import read_documents
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.finetune.files import FinetuneFiles, tracked_finetuning


@task
def finetune_classifier(
    config: ClassificationTrainingConfig,
    split: SplitFractions,
    seed: int,
    environment: Environment,
    files: FinetuneFiles,
) -> str | None:
    """Train a classifier of the documents' labels; return why it is not trained, or None if it is."""
    documents = read_documents(files.documents, CLASSIFICATION_COLUMNS)
    data = choose_classification_data(documents, split, config, seed=seed)
    if len(data.labels) < 2 or not data.validation:
        return (
            f"{len(data.labels)} labels have at least {config.min_examples_per_label} training documents (two are "
            f"needed), and {len(data.validation)} validation documents have one of them (one is needed)"
        )
    backbone, tokenizer = load_language_model(files.language_model)
    torch.manual_seed(seed)
    if config.init_from == "scratch":
        backbone = build_model(backbone.config, tokenizer.vocabulary)
    if not isinstance(backbone, TextEncoder):
        return f"a model of family {backbone.config.family} has no features for a classifier"
    if config.vectors is not None:
        initialize_from_vectors(backbone, tokenizer, config.vectors)
    if config.lora is not None:
        add_adapters(backbone, config.lora, seed=seed)
    classifier = classifier_on(backbone, data.labels, config).to(pick_device())
    with tracked_finetuning("classifier", config, split, seed, environment, files, vectors=config.vectors) as training:
        if training is not None:
            batches = classification_batches(data, classifier, tokenizer, config.training, seed=seed)
            record = training.train(classifier, batches, config.training, seed=seed)
            merge_and_unload(classifier)
            training.save(record, lambda folder: save_classifier(folder, classifier, tokenizer, record.to_json()))
    return None
