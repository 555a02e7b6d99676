"""The texts that a tokenizer is learned from, read from files as they are asked for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from lmcore.config.tokenize import SplitFractions
from lmcore.text.split import splits_of


class TrainingTexts:
    """Texts of the training documents, and what they are to become: a translation has words that no text has.

    Args:
        documents: Parquet files with the columns ``id``, ``text``, ``target`` and ``split``.
        fractions: which documents are for training.
    """

    def __init__(self, documents: Sequence[Path], fractions: SplitFractions) -> None:
        self._documents = documents
        self._fractions = fractions

    def __len__(self) -> int:
        """About how many: all documents of the files, as their heads tell."""
        return sum(pq.read_metadata(file).num_rows for file in self._documents)

    def __iter__(self) -> Iterator[str]:
        for file in self._documents:
            table = pq.read_table(file, columns=["id", "split", "text", "target"])
            texts, targets = table["text"].to_pylist(), table["target"].to_pylist()
            for split, text, target in zip(splits_of(table, self._fractions), texts, targets, strict=True):
                if split == "train":
                    yield text
                    if target is not None:
                        yield target
