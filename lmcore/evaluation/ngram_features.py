"""Texts as sparse vectors: weighted n-grams of words or of characters.

Case is kept: it tells code from prose and names from words.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import CharacterNgramsConfig, WordNgramsConfig
from lmcore.text.words.segmentation import WORD_OR_CHARACTER

N_BUCKETS = 1 << 20
"""Number of feature columns; each n-gram of characters is assigned to one by its hash."""
END = "\x03"
"""Stands for the end of a text, so that its last characters can be distinguished from others."""
MIXER = np.uint64(0x9E3779B97F4A7C15)


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
    """The same from the last characters of each text, with a character for its end."""
    return _weighted([[text[-config.max_characters :] + END for text in part] for part in parts], config)


def _weighted(parts: Sequence[Sequence[str]], config: CharacterNgramsConfig) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfTransformer

    counted = [count_characters(part, config) for part in parts]
    weighting = TfidfTransformer(sublinear_tf=True).fit(counted[0])
    return [weighting.transform(part) for part in counted]


def count_characters(texts: Sequence[str], config: CharacterNgramsConfig) -> Any:
    """Count the n-grams of characters in each text: a sparse matrix (n_texts, N_BUCKETS).

    All texts are counted at once in whole arrays: scikit-learn's own vectorizers build every n-gram as a string, which
    takes six times as long.
    """
    from scipy.sparse import csr_matrix

    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    owners = np.repeat(np.arange(len(texts)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))  # characters until the end of the text
    hashes, keys = np.zeros(len(codes), np.uint64), [np.empty(0, np.int64)]
    for length in range(1, config.longest + 1):
        following = np.zeros_like(codes)
        following[: max(len(codes) - length + 1, 0)] = codes[length - 1 :]
        hashes = (hashes ^ following) * MIXER
        hashes ^= hashes >> np.uint64(29)
        if length >= config.shortest:
            is_whole = left >= length
            keys.append(owners[is_whole] * N_BUCKETS + _bucket(hashes[is_whole]))
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    rows, columns = np.divmod(found, N_BUCKETS)
    starts = np.searchsorted(rows, np.arange(len(texts) + 1))
    return csr_matrix((counts.astype(np.float64), columns, starts), shape=(len(texts), N_BUCKETS))


def _bucket(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return ((hashes * MIXER) >> np.uint64(64 - N_BUCKETS.bit_length() + 1)).astype(np.int64)
