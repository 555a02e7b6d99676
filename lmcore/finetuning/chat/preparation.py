"""Prepares the training of a chat model: chooses conversations, and encodes them into batches."""

import logging
from pathlib import Path

import pyarrow as pa

from lmcore.config.chat import ChatTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.finetuning.chat.examples import Conversation, conversations
from lmcore.finetuning.chat.sequences import ChatSequences, chat_sequences
from lmcore.finetuning.examples import choose_examples
from lmcore.finetuning.packing import PackedBatches
from lmcore.models.chat_template import DEFAULT_TEMPLATE, ChatTemplate, read_template
from lmcore.tokens.batches.batches import Batches, ExampleBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


def choose_conversations(
    documents: pa.Table, fractions: SplitFractions, max_train_samples: int, max_eval_samples: int, *, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """The conversations that a model is trained and validated on, up to the given limits.

    Args:
        documents: clean documents, with the columns of :data:`~lmcore.finetuning.chat.examples.CHAT_COLUMNS`.
        fractions: the fractions of held-out documents, as for the language model.
        max_train_samples: limit for the training conversations.
        max_eval_samples: limit for the validation conversations.
        seed: the seed of the choice.
    """
    found = conversations(documents, fractions)
    training = choose_examples(found["train"], max_train_samples, seed)
    return training, choose_examples(found["validation"], max_eval_samples, seed)


def chat_template_of(base: Path, given: Path | None, tokenizer: Tokenizer) -> ChatTemplate:
    """The given chat template, or that of the base model, or the default one.

    Raises:
        UserError: if it is not a valid template, or the tokenizer has none of its special tokens.
    """
    source = read_template(base) if given is None else given.read_text(encoding="utf-8")
    template = ChatTemplate(DEFAULT_TEMPLATE if source is None else source, tokenizer)
    _ = template.end_of_turn_id  # fails early
    return template


def chat_batches(
    training: list[Conversation],
    validation: list[Conversation],
    template: ChatTemplate,
    config: ChatTrainingConfig,
    *,
    seed: int,
    padding: int,
    reads_source: bool,
) -> Batches:
    """Batches of conversations, packed if the settings say so; logs how many are truncated.

    Args:
        training: the training examples.
        validation: the validation examples.
        template: the model's chat template.
        config: limits, packing and batch size.
        seed: the seed of the order.
        padding: the token to pad with.
        reads_source: whether the model is an encoder-decoder.

    Raises:
        UserError: if packing is configured for an encoder-decoder.
    """
    if config.packing and reads_source:
        raise UserError("an encoder-decoder reads every conversation so far as one source: set packing to false")
    encoded, held_out = (
        chat_sequences(examples, template, max_tokens=config.max_tokens, reads_source=reads_source)
        for examples in (training, validation)
    )
    _log_truncation(encoded, len(training), config.max_tokens)
    batch_size = config.training.batch_size
    if config.packing:
        return PackedBatches(
            encoded.sequences,
            held_out.sequences,
            sequence_length=config.max_tokens,
            batch_size=batch_size,
            seed=seed,
            padding=padding,
        )
    return ExampleBatches(encoded.sequences, held_out.sequences, batch_size=batch_size, seed=seed, padding=padding)


def _log_truncation(encoded: ChatSequences, n_conversations: int, max_tokens: int) -> None:
    if encoded.n_cut:
        logger.warning(
            "%d of %d conversations are longer than max_tokens (%d): their last tokens are left out; %d have no answer "
            "within the limit and are not used",
            encoded.n_cut,
            n_conversations,
            max_tokens,
            encoded.n_without_answer,
        )
