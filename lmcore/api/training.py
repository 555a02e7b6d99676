"""From lists of Python strings to a trained model."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmcore.config.base import SCRATCH
from lmcore.config.models import ModelConfig, max_position_embeddings_of
from lmcore.config.training import PretrainConfig, TrainingConfig
from lmcore.errors import UserError
from lmcore.models.device import pick_device
from lmcore.models.model import Model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batches, TokenArray
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.loop import train
from lmcore.training.memory import keep_freed_memory
from lmcore.training.pretraining import pretraining_batches

MIN_TOKENS = 20
VALIDATION_FRACTION = 0.1
LONGEST_SEQUENCE = 512


@dataclass(frozen=True)
class TokenSplits:
    """The tokens of all texts, each text followed by the end token."""

    training: TokenArray
    validation: TokenArray

    def tokens(self, split: str) -> TokenArray:
        """The token ids of a split, int64 (n_tokens,)."""
        return self.training if split == "train" else self.validation


def checked_text(text: str, name: str) -> str:
    """Return the text unchanged.

    Raises:
        UserError: if it is not a string, naming the argument.
    """
    if not isinstance(text, str):
        raise UserError(f"{name} is a {type(text).__name__}, expected a string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{name} is not valid Unicode: character {error.start} is a lone surrogate; remove it"
        ) from None
    return text


def checked_seed(seed: int) -> int:
    """Return the seed unchanged.

    Raises:
        UserError: if it is not a whole number from 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UserError(f"seed {seed!r}: expected a whole number from 0 to {2**63 - 1}")
    return seed


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list.

    Raises:
        UserError: if they are not a list of strings, or empty.
    """
    if isinstance(texts, str):
        raise UserError("texts is a single string, expected a list of strings: put it into a list, [text]")
    texts = list(texts)
    for index, text in enumerate(texts):
        checked_text(text, f"texts[{index}]")
    if not any(text.strip() for text in texts):
        raise UserError(f"there is no text to train on: texts contains {len(texts)} strings, none with any content")
    return texts


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw random numbers from ``seed`` in this context; the caller's random state stays as it is."""
    device = pick_device()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(checked_seed(seed))
        yield


def train_on_texts(
    model: Model, tokenizer: Tokenizer, texts: Sequence[str], config: TrainingConfig, seed: int
) -> dict[str, Any]:
    """Train a language model in place on texts, a tenth of them held out for validation; returns the training record.

    Raises:
        UserError: if the texts are too short, or the model is not trained by gradient descent.
    """
    model_config: ModelConfig = model.config
    splits = _split_tokens(checked_texts(texts), tokenizer, seed)
    longest = min(LONGEST_SEQUENCE, max_position_embeddings_of(model_config) or LONGEST_SEQUENCE)
    sequence_length = min(longest, len(splits.validation) - 1, len(splits.training) - 1)
    if not isinstance(model, TrainableModel):
        raise UserError(f"a model of family {model_config.family} cannot be trained further")
    settings = PretrainConfig(
        seed=seed,
        sequence_length=sequence_length,
        mask_documents=False,
        init_from=SCRATCH,
        model=model_config,
        objective=None,
        training=config,
    )
    batches = pretraining_batches(model.to(pick_device()), settings, splits, tokenizer)
    return run_training(model, batches, config, seed, "Train")


def run_training(
    model: TrainableModel, batches: Batches, config: TrainingConfig, seed: int, description: str
) -> dict[str, Any]:
    """Train with the fastest process settings, which are restored afterwards, and show the progress."""
    with keep_freed_memory():
        return train(
            model,
            batches,
            config,
            seed=seed,
            on_metrics=lambda step, metrics: _show_progress(step, config.max_steps, metrics),
            description=description,
        ).to_json()


def _split_tokens(texts: list[str], tokenizer: Tokenizer, seed: int) -> TokenSplits:
    """The texts in random order, end to end; their last tenth is for validation."""
    end = tokenizer.vocabulary.end_of_text_id
    encoded = tokenizer.encode_batch(texts)
    order = np.random.default_rng(checked_seed(seed)).permutation(len(texts))
    stream = np.array([end, *(token for index in order for token in (*encoded[index], end))], dtype=np.int64)
    if len(stream) < MIN_TOKENS:
        raise UserError(
            f"the texts have only {len(stream)} tokens, but training needs at least {MIN_TOKENS}: add more text"
        )
    n_validation = max(round(VALIDATION_FRACTION * len(stream)), MIN_TOKENS // 2)
    return TokenSplits(stream[:-n_validation], stream[-n_validation:])


def _show_progress(step: int, n_steps: int, metrics: Mapping[str, float]) -> None:
    """One line per report, where no progress bar is shown: in notebooks and logs."""
    if sys.stderr.isatty():
        return
    losses = [
        f"{name.replace('_', ' ')} {metrics[name]:.3f}" for name in ("loss", "validation_loss") if name in metrics
    ]
    sys.stderr.write(f"step {step:,} of {n_steps:,}: {', '.join(losses)}\n")
