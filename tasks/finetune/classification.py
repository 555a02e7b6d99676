"""Fine-tunes a classifier of documents."""

from typing import cast

import torch

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.adaptation import adapt
from lmcore.finetuning.classification.examples import classification_columns
from lmcore.finetuning.classification.finishing import calibrate, fit_ngram_classifier
from lmcore.finetuning.classification.folder import save_classifier
from lmcore.finetuning.classification.measure import classification_measure
from lmcore.finetuning.classification.preparation import (
    choose_classification_data,
    classification_batches,
    classifier_on,
)
from lmcore.finetuning.word_vectors import add_word_vectors, merge_word_vectors
from lmcore.models.device import pick_device
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
    documents = read_documents(files.documents, classification_columns(config.label_column))
    data = choose_classification_data(documents, split, config, seed=seed)
    n_needed = 1 if config.is_multi_label else 2
    if len(data.labels) < n_needed or not data.validation:
        return (
            f"{len(data.labels)} labels have at least {config.min_examples_per_label} training documents ({n_needed} "
            f"needed), and {len(data.validation)} validation documents have one of them (one is needed)"
        )
    torch.manual_seed(seed)
    base = files.load_base_model(config.init_from, seed, environment)
    if not isinstance(base.model, TextEncoder):
        return f"a model of family {base.model.config.family} has no features for a classifier"
    seeds = range(seed + 1, seed + config.ensemble_size)
    others = [files.load_base_model(config.init_from, other, environment).model for other in seeds]
    backbones, tokenizer = [base.model, *cast("list[TextEncoder]", others)], base.tokenizer
    if config.vectors is not None:
        backbones, tokenizer = add_word_vectors(backbones, tokenizer, config.vectors)
    for backbone in backbones:
        adapt(backbone, config.lora, config.frozen_layers, seed=seed)
    classifier = classifier_on(backbones, data, config).to(pick_device())
    tracked = tracked_finetuning("classifier", config, split, seed, environment, files, base, vectors=config.vectors)
    with tracked as training:
        if training is not None:
            batches = classification_batches(data, classifier, tokenizer, config.training, seed=seed)
            measure = classification_measure(classifier, batches, config.training.metric_for_best_model)
            record = training.train(classifier, batches, config.training, seed=seed, measure=measure)
            merge_and_unload(classifier)
            for backbone in backbones:
                merge_word_vectors(backbone)
            fit_ngram_classifier(classifier, tokenizer, data.training)
            calibrate(classifier, tokenizer, data.validation)
            training.save(record, lambda folder: save_classifier(folder, classifier, tokenizer, record.to_json()))
    return None
