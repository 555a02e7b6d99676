"""Fine-tunes the language model: a classifier of documents, and a model that completes prompts."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from lmcore.config.finetune import ClassificationTrainingConfig, CompletionTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.classifier import save_classifier
from lmcore.finetuning.preparation import (
    add_adapters,
    choose_classification_data,
    choose_completion_data,
    classification_batches,
    classifier_on,
    completion_batches,
    initialize_from_vectors,
    prompt_format_of,
)
from lmcore.finetuning.supervised import CLASSIFICATION_COLUMNS, COMPLETION_COLUMNS
from lmcore.models.device import pick_device
from lmcore.models.families import build_model
from lmcore.models.folder import load_language_model, save_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.lora import merge_and_unload
from lmcore.models.trainable import TextEncoder, TrainableModel
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.training import Training, tracked_training


@dataclass(frozen=True)
class FinetuneFiles:
    """The inputs and outputs of a fine-tuning.

    Attributes:
        documents: the folder of the clean documents.
        language_model: the folder of the pretrained model.
        model_folder: where the fine-tuned model is written.
        curves: where the tables for ``dvc plots`` are written.
    """

    documents: Path
    language_model: Path
    model_folder: Path
    curves: Path


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
    with _tracked("classifier", config, split, seed, environment, files, vectors=config.vectors) as training:
        if training is not None:
            batches = classification_batches(data, classifier, tokenizer, config.training, seed=seed)
            record = training.train(classifier, batches, config.training, seed=seed)
            merge_and_unload(classifier)
            training.save(record, lambda folder: save_classifier(folder, classifier, tokenizer, record.to_json()))
    return None


@task
def finetune_completion(
    config: CompletionTrainingConfig, split: SplitFractions, seed: int, environment: Environment, files: FinetuneFiles
) -> str | None:
    """Train a model that completes prompts; return why it is not trained, or None if it is."""
    documents = read_documents(files.documents, COMPLETION_COLUMNS)
    examples, held_out = choose_completion_data(documents, split, config, seed=seed)
    if not examples or not held_out:
        return (
            f"{len(examples)} training and {len(held_out)} validation documents have a prompt and a completion "
            "(finetune.completion.examples); a completion model needs both"
        )
    model, tokenizer = load_language_model(files.language_model)
    if not isinstance(model, GenerativeModel) or not isinstance(model, TrainableModel):
        return f"a model of family {model.config.family} cannot be trained to complete prompts"
    prompt_format = prompt_format_of(config)
    reads_prompts = model.reads_source
    if config.lora is not None:
        add_adapters(model, config.lora, seed=seed)
    model.to(pick_device())
    with _tracked("completion", config, split, seed, environment, files) as training:
        if training is not None:
            batches, encoded = completion_batches(
                examples, held_out, tokenizer, prompt_format, config.training, seed=seed, reads_prompts=reads_prompts
            )
            record = training.train(model, batches, config.training, seed=seed).model_copy(
                update={"n_cut_answers": encoded.n_cut_answers, "n_cut_prompts": encoded.n_cut_prompts}
            )
            merge_and_unload(model)
            save = partial(save_language_model, prompt_format=prompt_format)
            training.save(record, lambda folder: save(folder, model, tokenizer, record.to_json()))
    return None


@task
def write_summary(path: Path, skipped: dict[str, str]) -> None:
    """Write which models were not trained, and why."""
    write_json(path, {"skipped": skipped})


def _tracked(
    model: str,
    config: ClassificationTrainingConfig | CompletionTrainingConfig,
    split: SplitFractions,
    seed: int,
    environment: Environment,
    files: FinetuneFiles,
    *,
    vectors: Path | None = None,
) -> AbstractContextManager[Training | None]:
    vector_files = [] if vectors is None else [vectors]
    return tracked_training(
        environment,
        stage="finetune",
        model=model,
        parameters={"seed": seed, "split": split.model_dump(), **config.model_dump(mode="json")},
        inputs=[files.documents, files.language_model, *vector_files],
        datasets=[files.documents, *vector_files],
        model_folder=files.model_folder,
        curves=files.curves,
        base_model=files.language_model,
    )
