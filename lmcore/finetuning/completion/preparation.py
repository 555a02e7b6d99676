"""Prepares the training of a completion model: chooses examples, and encodes them into batches."""

import logging
import math

import pyarrow as pa

from lmcore.config.completion import CompletionTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import TrainingConfig
from lmcore.finetuning.completion.examples import CompletionExample, check_variables, completion_examples
from lmcore.finetuning.completion.sequences import CompletionSequences, completion_sequences
from lmcore.finetuning.examples import choose_examples
from lmcore.models.prompt import PromptFormat
from lmcore.models.prompt_template import check_field
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

COVERED_FRACTION = 0.95
"""The fraction of completions that fit a suggested limit."""


def choose_completion_data(
    documents: pa.Table,
    fractions: SplitFractions,
    config: CompletionTrainingConfig,
    prompt_format: PromptFormat,
    *,
    seed: int,
) -> tuple[list[CompletionExample], list[CompletionExample]]:
    """The prompts and completions that a model is trained on, at most ``config.max_train_samples``, and validated on.

    Args:
        documents: clean documents, with the columns of
            :func:`~lmcore.finetuning.completion.examples.completion_columns`.
        fractions: the fractions of held-out documents, as for the language model.
        config: where the pairs come from, and the limits.
        prompt_format: the prompt, each of whose variables an example has to have.
        seed: the seed of the choice.

    Raises:
        UserError: if the examples lack a variable of the prompt.
    """
    examples = completion_examples(documents, fractions, config.examples)
    check_variables(prompt_format.fields, examples)
    training = choose_examples(examples["train"], config.max_train_samples, seed)
    return training, choose_examples(examples["validation"], config.training.max_eval_samples, seed)


def prompt_format_of(config: CompletionTrainingConfig, template: str) -> PromptFormat:
    """The format of a prompt: its template, and how many tokens of prompt and completion are kept.

    Raises:
        UserError: if the template is not valid, or does not have the field that is shortened exactly once.
    """
    check_field(template, config.truncated_field)
    return PromptFormat(
        template=template,
        truncated_field=config.truncated_field,
        truncation_side=config.truncation_side,
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
            "%d of %d prompts are longer than max_prompt_tokens (%d): %s is shortened",
            encoded.n_cut_prompts,
            n_examples,
            prompt_format.max_prompt_tokens,
            prompt_format.truncated_field,
        )
