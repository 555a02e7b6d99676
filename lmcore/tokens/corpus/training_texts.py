"""The texts on which a tokenizer is trained, read from files on demand."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from lmcore.config.tokenize import SplitFractions
from lmcore.text.split import splits_of


class TrainingTexts:
    """The texts and targets of the training documents.

    Targets are included because they may contain words that no text has, such as translations.

    Args:
        documents: Parquet files with the columns ``id``, ``text``, ``target`` and ``split``.
        fractions: fractions of the documents that are held out.
    """

    def __init__(self, documents: Sequence[Path], fractions: SplitFractions) -> None:
        self._documents = documents
        self._fractions = fractions

    def __len__(self) -> int:
        """The number of all documents in the files, an estimate of the number of texts for progress bars."""
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
