"""Prepares a fine-tuning: chooses examples, encodes them into batches, and adapts the pretrained model."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from torch import nn

from lmcore.config.finetune import ClassificationTrainingConfig, CompletionTrainingConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import LoRAConfig, TrainingConfig
from lmcore.finetuning.classifier import Classifier
from lmcore.finetuning.examples import (
    CompletionSequences,
    choose_examples,
    classification_sequence,
    completion_sequences,
    frequent_labels,
    labeled_pairs,
)
from lmcore.finetuning.supervised import CompletionExample, classification_examples, completion_examples
from lmcore.finetuning.word_vectors import read_vectors, start_from
from lmcore.models.lora import add_lora
from lmcore.models.prompt import PromptFormat
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

COVERED_FRACTION = 0.95
"""The fraction of completions that a suggested limit leaves whole."""


@dataclass(frozen=True)
class ClassificationData:
    """The (text, label) pairs that a classifier is trained and validated on, and its labels in the order of classes."""

    labels: tuple[str, ...]
    training: list[tuple[str, str]]
    validation: list[tuple[str, str]]


def choose_classification_data(
    documents: pa.Table, fractions: SplitFractions, config: ClassificationTrainingConfig, *, seed: int
) -> ClassificationData:
    """Choose the labels that are frequent enough, and at most ``config.max_train_samples`` training documents.

    Args:
        documents: clean documents, with the columns of :data:`~lmcore.finetuning.supervised.CLASSIFICATION_COLUMNS`.
        fractions: the fractions of held-out documents, as for the language model.
        config: the limits.
        seed: the seed of the choice.
    """
    examples = classification_examples(documents, fractions)
    labels = frequent_labels(examples["train"].labels, config.min_examples_per_label)
    training = choose_examples(labeled_pairs(examples["train"], labels), config.max_train_samples, seed)
    held_out = labeled_pairs(examples["validation"], labels)
    return ClassificationData(labels, training, choose_examples(held_out, config.training.max_eval_samples, seed))


def classification_batches(
    data: ClassificationData, classifier: Classifier, tokenizer: Tokenizer, config: TrainingConfig, *, seed: int
) -> ExampleBatches:
    """Batches of the first ``classifier.max_tokens`` tokens of each text, with the class of its label as target."""
    training, validation = (
        [classification_sequence(tokenizer, text, label, data.labels, classifier.max_tokens) for text, label in pairs]
        for pairs in (data.training, data.validation)
    )
    padding = tokenizer.vocabulary.padding_id
    return ExampleBatches(training, validation, batch_size=config.batch_size, seed=seed, padding=padding)


def classifier_on(backbone: TextEncoder, labels: tuple[str, ...], config: ClassificationTrainingConfig) -> Classifier:
    """A classifier with an untrained head, which reads no more tokens than the backbone can."""
    context = max_position_embeddings_of(backbone.config)
    max_tokens = config.max_tokens if context is None else min(config.max_tokens, context)
    return Classifier(backbone, labels, max_tokens=max_tokens, dropout=config.dropout)


def choose_completion_data(
    documents: pa.Table, fractions: SplitFractions, config: CompletionTrainingConfig, *, seed: int
) -> tuple[list[CompletionExample], list[CompletionExample]]:
    """The prompts and completions that a model is trained on, at most ``config.max_train_samples``, and validated on.

    Args:
        documents: clean documents, with the columns of :data:`~lmcore.finetuning.supervised.COMPLETION_COLUMNS`.
        fractions: the fractions of held-out documents, as for the language model.
        config: where the pairs come from, and the limits.
        seed: the seed of the choice.
    """
    examples = completion_examples(documents, fractions, config.examples)
    training = choose_examples(examples["train"], config.max_train_samples, seed)
    return training, choose_examples(examples["validation"], config.training.max_eval_samples, seed)


def prompt_format_of(config: CompletionTrainingConfig) -> PromptFormat:
    """The format of a prompt, and how many tokens of prompt and completion are kept."""
    return PromptFormat(
        separator=config.separator,
        max_prompt_tokens=config.max_prompt_tokens,
        max_completion_tokens=config.max_completion_tokens,
    )


def completion_batches(
    training: list[CompletionExample],
    validation: list[CompletionExample],
    tokenizer: Tokenizer,
    prompt_format: PromptFormat,
    config: TrainingConfig,
    *,
    seed: int,
    reads_prompts: bool,
) -> tuple[ExampleBatches, CompletionSequences]:
    """Batches of prompts and completions, and the training examples in them; logs how many are truncated.

    Args:
        training: the training examples.
        validation: the validation examples.
        tokenizer: the model's tokenizer.
        prompt_format: the format of a prompt, and how many tokens of prompt and completion are kept.
        config: the batch size.
        seed: the seed of the order.
        reads_prompts: true for an encoder-decoder (:func:`~lmcore.finetuning.examples.completion_sequences`).
    """
    encoded, held_out = (
        completion_sequences(tokenizer, examples, prompt_format, reads_prompts=reads_prompts)
        for examples in (training, validation)
    )
    batches = ExampleBatches(
        encoded.sequences,
        held_out.sequences,
        batch_size=config.batch_size,
        seed=seed,
        padding=tokenizer.vocabulary.padding_id,
    )
    log_truncation(encoded, prompt_format)
    return batches, encoded


def log_truncation(encoded: CompletionSequences, prompt_format: PromptFormat) -> None:
    """Log how many training examples are truncated, and which limit would keep them whole."""
    n_examples = len(encoded.sequences)
    if encoded.n_cut_answers:
        lengths = sorted(encoded.answer_lengths)
        logger.warning(
            "%d of %d completions are longer than max_completion_tokens (%d): they are truncated, and the model does "
            "not learn where they end. %d tokens would be enough for %.0f %% of them, %d for all",
            encoded.n_cut_answers,
            n_examples,
            prompt_format.max_completion_tokens,
            lengths[math.ceil(COVERED_FRACTION * n_examples) - 1],
            100 * COVERED_FRACTION,
            lengths[-1],
        )
    if encoded.n_cut_prompts:
        logger.info(
            "%d of %d prompts are longer than max_prompt_tokens (%d): only their first tokens are used",
            encoded.n_cut_prompts,
            n_examples,
            prompt_format.max_prompt_tokens,
        )


def initialize_from_vectors(model: TextEncoder, tokenizer: Tokenizer, path: Path) -> None:
    """Replace the embeddings of tokens that are words in a GloVe file by that file's vectors."""
    embedding = model.get_parameter("embedding.weight")
    vectors = read_vectors(path, tokenizer, embedding.size(1))
    start_from(embedding, vectors)
    logger.info(
        "%d of %d token embeddings are initialized from %s", len(vectors.token_ids), tokenizer.vocabulary.size, path
    )


def add_adapters(model: nn.Module, config: LoRAConfig, *, seed: int) -> None:
    """Freeze the model and add LoRA adapters, which alone are trained; their weights are drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    add_lora(model, rank=config.rank, alpha=config.alpha, dropout=config.dropout, generator=generator)
