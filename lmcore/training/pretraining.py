"""The batches that language models are pretrained on, and the part of the corpus that they have seen."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lmcore.config.families import CorruptionConfig, MaskingConfig
from lmcore.config.training import ObjectiveConfig, PretrainConfig
from lmcore.errors import UserError
from lmcore.models.model import Objective
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batches, TokenArray, WindowBatches, tokens_of_windows
from lmcore.tokens.batches.corruption import CorruptedBatches
from lmcore.tokens.batches.document_starts import DocumentStartBatches
from lmcore.tokens.batches.masking import MaskedBatches, word_starts
from lmcore.tokens.batches.streams import StreamBatches, tokens_of_streams
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

EVERYTHING = "everything"
"""What a model that is fitted by counting has seen: the whole corpus."""


class TokenSplits(Protocol):
    """The tokens of the training and validation split, such as token shards."""

    def tokens(self, split: str) -> TokenArray:
        """All token ids of a split, flat, documents each ended by the end token."""


class PretrainingBatches(Batches, Protocol):
    """Batches that can report which part of the corpus they have returned."""

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """What identifies the tokens of the first ``n_batches`` batches, as JSON values."""


def pretraining_batches(
    model: TrainableModel, config: PretrainConfig, splits: TokenSplits, tokenizer: Tokenizer
) -> PretrainingBatches:
    """The batches for a model's objective.

    A model that carries a state reads the corpus as parallel streams. Other models read shuffled windows; in these,
    tokens or spans are masked if the objective is to predict them.
    """
    streams = splits.tokens("train"), splits.tokens("validation")
    sizes: dict[str, Any] = {
        "sequence_length": config.sequence_length,
        "batch_size": config.training.batch_size,
        "seed": config.seed,
        "max_validation_windows": config.training.max_eval_samples,
    }
    if model.carries_state:
        return FOR_OBJECTIVE[model.objective](StreamBatches(*streams, **sizes), model, config.seed, tokenizer)
    end_of_text_id = tokenizer.vocabulary.end_of_text_id if config.mask_documents else None
    windows = WindowBatches(*streams, **sizes, end_of_text_id=end_of_text_id)
    return FOR_OBJECTIVE[model.objective](windows, model, config.seed, tokenizer)


def with_objective(model: TrainableModel, objective: ObjectiveConfig | None) -> TrainableModel:
    """``model`` with another objective of its kind: how many tokens are masked, or which spans corrupted.

    Args:
        model: a model that is trained further.
        objective: what it learns to restore; None: what its configuration says.

    Raises:
        UserError: if the objective is of another kind than the model.
    """
    if objective is None:
        return model
    if objective.kind != model.objective:
        raise UserError(
            f"the objective is {objective.kind}, but a model of family {model.config.family} learns "
            f"{model.objective.replace('_', ' ')}"
        )
    settings = objective.model_dump(exclude={"kind"})
    if model.objective == "masked_tokens":
        update: dict[str, Any] = {"masking": MaskingConfig(**settings)}
    else:
        update = {"corruption": CorruptionConfig(**settings)}
    model.config = model.config.model_copy(update=update)
    return model


def seen_tokens(stream: TokenArray, drawn: dict[str, Any]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
    """The tokens that a training has seen, from what its batches have reported.

    Returns:
        the tokens, concatenated, and the int64 offsets (n_spans + 1,) of spans that are contiguous in the corpus.
    """
    if drawn["kind"] == EVERYTHING:
        return stream, np.array([0, len(stream)])
    return (tokens_of_streams if drawn["kind"] == "streams" else tokens_of_windows)(stream, drawn)


def _next_tokens(batches: Any, model: TrainableModel, seed: int, tokenizer: Tokenizer) -> PretrainingBatches:
    vocabulary = tokenizer.vocabulary
    return batches if vocabulary.start_of_text_id is None else DocumentStartBatches(batches, vocabulary)


def _masked(batches: Any, model: TrainableModel, seed: int, tokenizer: Tokenizer) -> PretrainingBatches:
    masking = model.config.masking
    starts = word_starts(tokenizer) if masking.use_whole_words else None
    return MaskedBatches(batches, tokenizer.vocabulary, masking, seed=seed, starts=starts)


def _corrupted(batches: Any, model: TrainableModel, seed: int, tokenizer: Tokenizer) -> PretrainingBatches:
    return CorruptedBatches(batches, tokenizer.vocabulary, model.config.corruption, seed=seed)


FOR_OBJECTIVE: dict[Objective, Callable[[Any, TrainableModel, int, Tokenizer], PretrainingBatches]] = {
    "next_token": _next_tokens,
    "masked_tokens": _masked,
    "corrupted_spans": _corrupted,
}
"""How batches of plain text become those of an objective."""
