"""Which documents give examples, and how many examples are used."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from lmcore.config.tokenize import SplitFractions
from lmcore.text.split import splits_of

Item = TypeVar("Item")


def rows_by_split(documents: pa.Table, fractions: SplitFractions, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The split of each document, followed by the values of the given columns."""
    return zip(splits_of(documents, fractions), *(documents[column].to_pylist() for column in columns), strict=True)


def choose_examples(examples: Sequence[Item], max_examples: int, seed: int) -> list[Item]:
    """A random sample of at most ``max_examples`` examples, without replacement and in their order."""
    if len(examples) <= max_examples:
        return list(examples)
    drawn = np.random.default_rng(seed).choice(len(examples), size=max_examples, replace=False)
    return [examples[index] for index in sorted(drawn)]
