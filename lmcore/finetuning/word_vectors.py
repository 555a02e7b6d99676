"""Pretrained word vectors, aligned to the vocabulary of a tokenizer."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

LINES_AT_ONCE = 10_000


@dataclass(frozen=True)
class WordVectors:
    """Vectors of the words that are tokens.

    Attributes:
        token_ids: the words' token ids without duplicates, int64 (n_words,).
        values: their vectors, float32 (n_words, size).
    """

    token_ids: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]


def read_vectors(path: Path, tokenizer: Tokenizer, size: int) -> WordVectors:
    """Read a file in GloVe's format (Pennington et al. 2014, https://nlp.stanford.edu/projects/glove/).

    Each line holds a word and its vector, separated by spaces. The header line of word2vec's text format, which has two
    numbers, is skipped. If a word occurs more than once, its first vector is used.

    Args:
        path: the file, plain or ``.gz``.
        tokenizer: the tokenizer whose tokens get vectors.
        size: length of a vector.

    Raises:
        UserError: a line does not hold ``size`` numbers, or no word is a token.
    """
    found: dict[int, npt.NDArray[np.float32]] = {}
    with _open(path) as file:
        lines = enumerate(file, start=1)
        while batch := list(islice(lines, LINES_AT_ONCE)):
            words, numbers = zip(*_parsed(path, batch, size), strict=True)
            for word, values, ids in zip(words, numbers, tokenizer.encode_batch(words), strict=True):
                if len(ids) == 1 and ids[0] not in found and tokenizer.decode(ids) == word:
                    found[ids[0]] = values
    if not found:
        raise UserError(f"{path}: none of its words is a token; word vectors need a tokenizer of kind `words`")
    return WordVectors(np.array(list(found), dtype=np.int64), np.stack(list(found.values())))


def _open(path: Path) -> TextIO:
    """Open a text file, plain or ``.gz``; bytes that are not UTF-8 are escaped, so that only their word is lost."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape")
    return path.open(encoding="utf-8", errors="surrogateescape")


def _parsed(path: Path, lines: list[tuple[int, str]], size: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    for number, line in lines:
        word, *numbers = line.rstrip().rsplit(" ", size)
        if number == 1 and len(numbers) == 1 and size > 1:
            yield "", np.zeros(size, dtype=np.float32)
            continue
        try:
            values = np.array(numbers, dtype=np.float32)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}; expected a word and a vector of {size} numbers") from None
        if len(values) != size or not word:
            raise UserError(f"{path}, line {number}: {len(values)} numbers after the word; expected a vector of {size}")
        yield word, values


def start_from(embedding: Tensor, vectors: WordVectors) -> None:
    """Replace rows of an embedding table (n_tokens, size) by the vectors, scaled to the mean length of the old rows."""
    rows = torch.from_numpy(vectors.token_ids)
    values = torch.from_numpy(vectors.values).to(embedding)
    with torch.no_grad():
        scale = embedding[rows].square().mean().sqrt() / values.square().mean().sqrt()
        embedding[rows] = values * scale
