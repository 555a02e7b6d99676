"""Fine-tunes the language model: a classifier of documents, and a model that completes prompts."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from lmcore.config.finetune import ClassificationTrainingConfig, CompletionTrainingConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import LoRAConfig
from lmcore.finetuning.classifier import Classifier, save_classifier
from lmcore.finetuning.examples import (
    CompletionSequences,
    choose_examples,
    classification_sequence,
    completion_sequences,
    frequent_labels,
    labeled_pairs,
)
from lmcore.finetuning.supervised import (
    CLASSIFICATION_COLUMNS,
    COMPLETION_COLUMNS,
    classification_examples,
    completion_examples,
)
from lmcore.finetuning.word_vectors import read_vectors, start_from
from lmcore.models.causal import TextEncoder
from lmcore.models.device import pick_device
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.models.families import WritingModel, build_model
from lmcore.models.folder import load_language_model, save_language_model
from lmcore.models.lora import add_lora, fold_lora
from lmcore.models.prompt import PromptFormat
from lmcore.models.trainable import TrainableModel
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.training import TrackedTraining, by_gradient

logger = logging.getLogger(__name__)

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@dataclass(frozen=True)
class FinetuneFiles:
    """Where a fine-tuning finds what it starts from, and where it leaves its model and curves."""

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
    """Train a classifier of the documents' labels; returns the reason where the documents cannot feed one."""
    documents = read_documents(files.documents, CLASSIFICATION_COLUMNS)
    examples = classification_examples(documents, split)
    labels = frequent_labels(examples["train"].labels, config.min_examples_per_label)
    training = choose_examples(labeled_pairs(examples["train"], labels), config.max_examples, seed)
    held_out = labeled_pairs(examples["validation"], labels)
    validation = choose_examples(held_out, config.training.max_eval_samples, seed)
    if len(labels) < 2 or not validation:
        return (
            f"{len(labels)} labels have at least {config.min_examples_per_label} training documents, and "
            f"{len(validation)} validation documents carry one of them; a classifier needs two labels and a document"
        )
    backbone, tokenizer = load_language_model(files.language_model)
    torch.manual_seed(seed)
    if config.init_from == "scratch":
        backbone = build_model(backbone.config, tokenizer.vocabulary)
    if not isinstance(backbone, TextEncoder):
        return f"a model of family {backbone.config.family} gives no features to classify by"
    if config.vectors is not None:
        _start_from_vectors(backbone, tokenizer, config.vectors)
    context = max_position_embeddings_of(backbone.config)
    _adapt(backbone, config.lora, seed)
    classifier = Classifier(
        backbone,
        labels,
        max_tokens=config.max_tokens if context is None else min(config.max_tokens, context),
        dropout=config.dropout,
    ).to(pick_device())

    def sequences(pairs: list[tuple[str, str]]) -> list[tuple[list[int], int]]:
        length = classifier.max_tokens
        return [classification_sequence(tokenizer, text, label, labels, length) for text, label in pairs]

    _tracked("classifier", config, split, seed, files).run(
        by_gradient(
            classifier,
            ExampleBatches(
                sequences(training),
                sequences(validation),
                batch_size=config.training.batch_size,
                seed=seed,
                padding=tokenizer.vocabulary.padding_id,
            ),
            config.training,
            environment,
            seed=seed,
            description="Train classifier",
        ),
        environment,
        save=lambda folder, record: save_classifier(folder, _folded(classifier), tokenizer, record),
        model_folder=files.model_folder,
        curves=files.curves,
    )
    return None


@task
def finetune_completion(
    config: CompletionTrainingConfig, split: SplitFractions, seed: int, environment: Environment, files: FinetuneFiles
) -> str | None:
    """Train a model that completes a document's body by its summary; returns the reason where it cannot."""
    documents = read_documents(files.documents, COMPLETION_COLUMNS)
    examples = completion_examples(documents, split, config.examples)
    training = choose_examples(examples["train"], config.max_examples, seed)
    validation = choose_examples(examples["validation"], config.training.max_eval_samples, seed)
    if not training or not validation:
        return (
            f"{len(training)} training and {len(validation)} validation documents have a summary and a body "
            "(finetune.completion.examples); a completion model needs both"
        )
    model, tokenizer = load_language_model(files.language_model)
    if not isinstance(model, WritingModel) or not isinstance(model, TrainableModel):
        return f"a model of family {model.config.family} cannot be trained to complete prompts"
    prompt_format = PromptFormat(
        separator=config.separator,
        max_prompt_tokens=config.max_prompt_tokens,
        max_completion_tokens=config.max_completion_tokens,
    )
    reads_prompts = isinstance(model, EncoderDecoder)
    sequences, held_out = (
        completion_sequences(tokenizer, some, prompt_format, reads_prompts=reads_prompts)
        for some in (training, validation)
    )
    _say_what_is_cut(sequences, prompt_format)
    _adapt(model, config.lora, seed)
    model.to(pick_device())
    _tracked("completion", config, split, seed, files).run(
        by_gradient(
            model,
            ExampleBatches(
                sequences.sequences,
                held_out.sequences,
                batch_size=config.training.batch_size,
                seed=seed,
                padding=tokenizer.vocabulary.padding_id,
            ),
            config.training,
            environment,
            seed=seed,
            facts={"n_cut_answers": sequences.n_cut_answers, "n_cut_prompts": sequences.n_cut_prompts},
            description="Train completion",
        ),
        environment,
        save=lambda folder, record: save_language_model(
            folder, _folded(model), tokenizer, record, prompt_format=prompt_format
        ),
        model_folder=files.model_folder,
        curves=files.curves,
    )
    return None


def _say_what_is_cut(found: CompletionSequences, prompt_format: PromptFormat) -> None:
    """How many training examples are longer than the settings let them be, and what would be enough."""
    n_examples = len(found.sequences)
    if found.n_cut_answers:
        lengths = sorted(found.answer_lengths)
        logger.warning(
            "%d of %d answers are longer than %d tokens: they are truncated, and the model does not learn to end them; "
            "finetune.completion.max_completion_tokens would have to be %d for 95 %% of them, %d for all",
            found.n_cut_answers,
            n_examples,
            prompt_format.max_completion_tokens,
            lengths[math.ceil(0.95 * n_examples) - 1],
            lengths[-1],
        )
    if found.n_cut_prompts:
        logger.info(
            "of %d of %d prompts the first %d tokens are read (finetune.completion.max_prompt_tokens)",
            found.n_cut_prompts,
            n_examples,
            prompt_format.max_prompt_tokens,
        )


@task
def write_summary(path: Path, skipped: dict[str, str]) -> None:
    """Write which models were not trained, and why."""
    write_json(path, {"skipped": skipped})


def _start_from_vectors(model: TextEncoder, tokenizer: Tokenizer, path: Path) -> None:
    """Give the tokens that are words of a file its vectors."""
    embedding = model.get_parameter("embedding.weight")
    vectors = read_vectors(path, tokenizer, embedding.size(1))
    start_from(embedding, vectors)
    n_found, n_tokens = len(vectors.token_ids), tokenizer.vocabulary.size
    logger.info("%s of %s tokens start from the vectors of %s", f"{n_found:,}", f"{n_tokens:,}", path)


def _adapt(model: nn.Module, config: LoRAConfig | None, seed: int) -> None:
    """Put adapters into the model, which alone are trained then, where that is asked for."""
    if config is not None:
        generator = torch.Generator().manual_seed(seed)
        add_lora(model, rank=config.rank, alpha=config.alpha, dropout=config.dropout, generator=generator)


def _folded(model: AnyModule) -> AnyModule:
    """The model itself, without adapters of its own: what they have learned is in its weights."""
    fold_lora(model)
    return model


def _tracked(
    model: str,
    config: ClassificationTrainingConfig | CompletionTrainingConfig,
    split: SplitFractions,
    seed: int,
    files: FinetuneFiles,
) -> TrackedTraining:
    parameters: dict[str, Any] = {"seed": seed, "split": split.model_dump(), **config.model_dump(mode="json")}
    vectors = [config.vectors] if isinstance(config, ClassificationTrainingConfig) and config.vectors else []
    return TrackedTraining(
        stage="finetune",
        model=model,
        parameters=parameters,
        inputs=[files.documents, files.language_model, *vectors],
        datasets=[files.documents, *vectors],
        base_model=files.language_model,
    )
