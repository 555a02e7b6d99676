"""Baselines of a language model: token frequencies and n-gram models, trained on the training split or on the part of
it that the model has seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Flags, Floats
from lmcore.evaluation.language_models.likelihood import Tokens
from lmcore.models.ngram.kneser_ney import KneserNey
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.training.pretraining import seen_tokens

TOKENS_AT_ONCE = 1 << 24
NEARLY_ALL = 0.99
"""A model that saw this fraction of the training split counts as having seen all of it: sequences of equal length leave
out its end."""


@dataclass(frozen=True)
class NgramBaselines:
    """The n-gram models that a language model is compared with.

    Attributes:
        models: the n-gram models by key; the one called ``ngram`` is also interpolated with the language model.
        context: the n-gram model whose known context decides the weights of the interpolation.
        is_whole_split_seen: whether the language model, like these, was trained on the whole training split.
    """

    models: Mapping[str, KneserNey]
    context: KneserNey
    is_whole_split_seen: bool


@dataclass(frozen=True)
class SeenDocuments:
    """Documents, and parts of documents, that a model has seen in training.

    Attributes:
        tokens: their tokens in one array, (n_tokens,).
        offsets: document i is ``tokens[offsets[i]:offsets[i + 1]]``, int64 (n_documents + 1,).
        continued: whether a document starts in the middle, its beginning not seen, bool (n_documents,).
    """

    tokens: Tokens
    offsets: npt.NDArray[np.int64]
    continued: Flags

    @classmethod
    def from_spans(cls, tokens: Tokens, spans: npt.NDArray[np.int64], end_token: int) -> Self:
        """Split spans of a token stream, span i being ``tokens[spans[i]:spans[i + 1]]``, at end tokens."""
        after_end = np.flatnonzero(np.asarray(tokens) == end_token) + 1
        offsets = np.unique(np.concatenate((spans, after_end)))
        return cls(tokens, offsets, np.isin(offsets[:-1], spans))


def unigram_log_probabilities(training: Tokens, vocabulary_size: int) -> Floats:
    """The natural logarithm of each token's relative frequency, with add-one smoothing, (vocabulary_size,)."""
    counts = np.ones(vocabulary_size)
    for start in range(0, len(training), TOKENS_AT_ONCE):
        counts += np.bincount(training[start : start + TOKENS_AT_ONCE], minlength=vocabulary_size)
    return np.asarray(np.log(counts / counts.sum()))


def train_ngram(shards: TokenShards, order: int) -> KneserNey:
    """An n-gram model of the whole training split."""
    return KneserNey.train(
        shards.tokens("train"),
        shards.offsets("train"),
        order=order,
        vocabulary_size=shards.vocabulary_size,
        start_token=shards.end_of_text_id,
    )


def train_ngram_on_seen(shards: TokenShards, order: int, drawn: dict[str, Any]) -> KneserNey | None:
    """An n-gram model of exactly the tokens that a language model was trained on; None if that is the whole training
    split.

    Args:
        shards: the tokenized corpus.
        order: length of the longest n-gram.
        drawn: which tokens the training has drawn, from its record.
    """
    tokens, spans = seen_tokens(shards.tokens("train"), drawn)
    if len(tokens) >= NEARLY_ALL * len(shards.tokens("train")):
        return None
    seen = SeenDocuments.from_spans(tokens, spans, shards.end_of_text_id)
    return KneserNey.train(
        seen.tokens,
        seen.offsets,
        order=order,
        vocabulary_size=shards.vocabulary_size,
        start_token=shards.end_of_text_id,
        continued=seen.continued,
    )
