"""The batches that each model family is pretrained on, from the same tokens."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lmcore.config.training import PretrainConfig
from lmcore.models.bert.model import BERT
from lmcore.models.causal import RecurrentModel
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.models.model import Model
from lmcore.tokens.batches.batches import Batches, TokenArray, WindowBatches, windowed_pieces
from lmcore.tokens.batches.corruption import CorruptedBatches
from lmcore.tokens.batches.masking import MaskedBatches, word_starts
from lmcore.tokens.batches.streams import StreamBatches, streamed_pieces
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

EVERYTHING = "everything"
"""What a model has drawn that was counted, not trained."""


class TokenSplits(Protocol):
    """The tokens of the training and validation split, such as token shards."""

    def tokens(self, split: str) -> TokenArray:
        """All token ids of a split, flat, documents each ended by the end token."""


class PretrainingBatches(Batches, Protocol):
    """Batches that can say afterwards what of the corpus they have given."""

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """What is needed to know which tokens a training on the first ``n_batches`` has seen, as JSON values."""


def pretraining_batches(
    model: Model, config: PretrainConfig, splits: TokenSplits, tokenizer: Tokenizer
) -> PretrainingBatches:
    """The batches that this model learns from: streams where it carries its state, otherwise shuffled windows, with
    tokens or spans hidden where it guesses those."""
    kind = StreamBatches if isinstance(model, RecurrentModel) else WindowBatches
    batches = kind(
        splits.tokens("train"),
        splits.tokens("validation"),
        sequence_length=config.sequence_length,
        batch_size=config.training.batch_size,
        seed=config.seed,
        max_validation_windows=config.training.max_eval_samples,
    )
    if isinstance(model, BERT) and isinstance(batches, WindowBatches):
        masking = model.config.masking
        starts = word_starts(tokenizer) if masking.use_whole_words else None
        return MaskedBatches(batches, tokenizer.vocabulary, masking, seed=config.seed, starts=starts)
    if isinstance(model, EncoderDecoder) and isinstance(batches, WindowBatches):
        return CorruptedBatches(batches, tokenizer.vocabulary, model.config.corruption, seed=config.seed)
    return batches


def seen_pieces(stream: TokenArray, drawn: dict[str, Any]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
    """The tokens that a training has seen, from what its batches said of it.

    Returns:
        the tokens, flat, and the int64 offsets (pieces + 1,) of pieces that are joined in the corpus.
    """
    if drawn["kind"] == EVERYTHING:
        return stream, np.array([0, len(stream)])
    return (streamed_pieces if drawn["kind"] == "streams" else windowed_pieces)(stream, drawn)
