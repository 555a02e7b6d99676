"""Texts as sparse vectors: weighted n-grams of words or of characters.

Case is kept: it distinguishes code from prose and names from words.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmcore.config.evaluate import CharacterNgramsConfig, WordNgramsConfig
from lmcore.finetuning.classification.hashed_ngrams import count_ngrams
from lmcore.text.words.segmentation import WORD_OR_CHARACTER

N_BUCKETS = 1 << 20
"""Number of feature columns; each n-gram of characters is assigned to one by its hash."""
END = "\x03"
"""Stands for the end of a text, so that its last characters can be distinguished from others."""


def word_features(parts: tuple[Sequence[str], ...], config: WordNgramsConfig) -> list[Any]:
    """A sparse matrix (n_texts, n_features) for each part; the first part decides features and weights."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, config.longest),
        max_features=config.max_features,
        sublinear_tf=True,
        lowercase=False,
        token_pattern=WORD_OR_CHARACTER.pattern,
    )
    return [vectorizer.fit_transform(parts[0]), *(vectorizer.transform(part) for part in parts[1:])]


def character_features(parts: tuple[Sequence[str], ...], config: CharacterNgramsConfig) -> list[Any]:
    """A sparse matrix (n_texts, N_BUCKETS) for each part; the first part decides the weights."""
    return _weighted([[text[: config.max_characters] for text in part] for part in parts], config)


def ending_features(parts: tuple[Sequence[str], ...], config: CharacterNgramsConfig) -> list[Any]:
    """The same for the last characters of each text, with a character for its end."""
    return _weighted([[text[-config.max_characters :] + END for text in part] for part in parts], config)


def _weighted(parts: Sequence[Sequence[str]], config: CharacterNgramsConfig) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfTransformer

    counted = [count_characters(part, config) for part in parts]
    weighting = TfidfTransformer(sublinear_tf=True).fit(counted[0])
    return [weighting.transform(part) for part in counted]


def count_characters(texts: Sequence[str], config: CharacterNgramsConfig) -> Any:
    """Count the n-grams of characters in each text: a sparse matrix (n_texts, N_BUCKETS)."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return count_ngrams(codes, lengths, shortest=config.shortest, longest=config.longest, num_buckets=N_BUCKETS)
