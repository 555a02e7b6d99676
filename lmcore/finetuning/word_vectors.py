"""Pretrained word vectors: how they are read, and an embedding that adds them to a trained table."""

import gzip
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.errors import UserError
from lmcore.models.families import build_model
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

LINES_AT_ONCE = 10_000


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: the words, without duplicates.
        values: their vectors, float32 (n_words, size).
    """

    words: tuple[str, ...]
    values: npt.NDArray[np.float32]


def read_vectors(path: Path, tokenizer: Tokenizer) -> WordVectors:
    """Read a file in GloVe's format (Pennington et al. 2014, https://nlp.stanford.edu/projects/glove/).

    Each line holds a word and its vector, separated by spaces. The header line of word2vec's text format, which has two
    numbers, is skipped. If a word occurs more than once, its first vector is used. Words that the tokenizer changes or
    splits, such as upper-case words if it has only lower case, are left out: no text has such a token.

    Args:
        path: the file, plain or ``.gz``.
        tokenizer: the tokenizer that splits texts into words.

    Raises:
        UserError: a line has fewer or more numbers than the first, or no word can be a token.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    with _open(path) as file:
        vectors = _parsed(path, file)
        while batch := list(islice(vectors, LINES_AT_ONCE)):
            are_tokens = tokenizer.are_words([word for word, _ in batch])
            for (word, values), is_token in zip(batch, are_tokens, strict=True):
                if is_token:
                    found.setdefault(word, values)
    if not found:
        raise UserError(f"{path}: none of its words is a token; word vectors need a tokenizer of kind `words`")
    return WordVectors(tuple(found), np.stack(list(found.values())))


def _open(path: Path) -> TextIO:
    """Open a text file, plain or ``.gz``; bytes that are not UTF-8 are escaped, so that only their word is lost."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape")
    return path.open(encoding="utf-8", errors="surrogateescape")


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the words and vectors of a file; all vectors are as long as the first."""
    size = None
    for number, line in enumerate(lines, start=1):
        if size is None:
            size = _count_numbers(line)
            if size == 1 and line.replace(" ", "").strip().isdecimal():
                size = int(line.split()[1])  # word2vec's header: the number of words and the size
                continue
        word, *numbers = line.rstrip().rsplit(" ", size)
        try:
            values = np.array(numbers, dtype=np.float32)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}; expected a word and a vector of {size} numbers") from None
        if not (word and size and len(values) == size):
            raise UserError(
                f"{path}, line {number}: {len(values)} numbers after the word; expected a word and a vector of "
                f"{size or 'one or more'} numbers"
            )
        yield word, values


def _count_numbers(line: str) -> int:
    """How many numbers follow the word at the start of a line."""
    _, *others = line.split() or [""]
    return sum(1 for _ in takewhile(_is_number, reversed(others)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class WordVectorEmbedding(nn.Module):
    """An embedding that adds a linear map of fixed word vectors to a table of its own.

    A word that never occurs in training has no row in the table, only its vector. The map is shared by all words, so
    training it moves such words along with the others; trained rows that start from the vectors would leave them
    behind.

    Args:
        weight: embeddings of the first tokens, shape (n_tokens, embedding_size). Where there is a vector, it replaces
            the row, which starts at zero.
        vectors: the vectors of all tokens, float32 (n_all_tokens, size), zeros for tokens without a vector.
    """

    vectors: Tensor

    def __init__(self, weight: Tensor, vectors: Tensor) -> None:
        super().__init__()
        has_vector, size, embedding_size = vectors.any(dim=1), vectors.size(1), weight.size(1)
        # Table and vectors have values around one, whatever those of the model are: an optimizer such as Adam, whose
        # steps do not depend on their size, would otherwise soon replace small ones.
        self.scale = _root_mean_square(weight)
        self.register_buffer("vectors", vectors / _root_mean_square(vectors[has_vector]), persistent=False)
        is_replaced = has_vector[: len(weight)].unsqueeze(1)
        self.weight = nn.Parameter(weight.masked_fill(is_replaced, 0.0) / self.scale)
        # An orthogonal map keeps angles, and spreads the vectors over all features.
        projection = nn.init.orthogonal_(torch.empty(size, embedding_size), max(1.0, embedding_size / size) ** 0.5)
        self.projection = nn.Parameter(projection)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (..., embedding_size) of token ids (...)."""
        n_rows = len(self.weight)
        own = F.embedding(tokens.clamp_max(n_rows - 1), self.weight) * (tokens < n_rows).unsqueeze(-1)
        return (own + F.embedding(tokens, self.vectors) @ self.projection) * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Embedding:
        """The same embedding as one table of all tokens."""
        weight = self.vectors @ self.projection
        weight[: len(self.weight)] += self.weight
        weight *= self.scale
        return nn.Embedding(len(weight), weight.size(1), _weight=weight)


def add_word_vectors(
    models: Sequence[TextEncoder], tokenizer: Tokenizer, path: Path
) -> tuple[list[TextEncoder], Tokenizer]:
    """Give models that classify the word vectors of a file, and a token for each of their words.

    Texts to be classified have words that no training text has; their vectors place them near similar words.

    Args:
        models: models of one tokenizer, which are not changed.
        tokenizer: the tokenizer.
        path: a file in GloVe's format.

    Returns:
        Models with the same weights and a :class:`~lmcore.finetuning.word_vectors.WordVectorEmbedding`, and the
        tokenizer with all words. After training, :func:`merge_word_vectors` makes each an ordinary model.
    """
    vectors = read_vectors(path, tokenizer)
    larger = tokenizer.with_words(vectors.words)
    rows = torch.zeros(larger.vocabulary.size, vectors.values.shape[1])
    rows[[token for (token,) in larger.encode_batch(vectors.words)]] = torch.from_numpy(vectors.values)
    grown = [with_vocabulary(model, larger.vocabulary) for model in models]
    for model, new in zip(models, grown, strict=True):
        new.embedding = WordVectorEmbedding(model.get_parameter("embedding.weight").detach().clone(), rows)
    n_before = tokenizer.vocabulary.size
    logger.info(
        "%s has vectors of %s of the %s tokens, and of %s words that become tokens",
        path,
        f"{int(rows[:n_before].any(dim=1).sum()):,}",
        f"{n_before:,}",
        f"{larger.vocabulary.size - n_before:,}",
    )
    return grown, larger


def merge_word_vectors(model: nn.Module) -> None:
    """Make the embedding of :func:`add_word_vectors`, if there is one, a table of all tokens, in place."""
    embedding = getattr(model, "embedding", None)
    if isinstance(embedding, WordVectorEmbedding):
        model.embedding = embedding.merged()


def with_vocabulary(model: TextEncoder, vocabulary: Vocabulary) -> TextEncoder:
    """The model with the same weights for a vocabulary that has more tokens, whose weights are zero."""
    larger = build_model(model.config, vocabulary)
    assert isinstance(larger, TextEncoder)
    weights = larger.state_dict()
    for name, weight in model.state_dict().items():
        weights[name].zero_()[tuple(slice(size) for size in weight.shape)] = weight
    larger.load_state_dict(weights)
    return larger


def _root_mean_square(values: Tensor) -> float:
    return values.square().mean().sqrt().item()
