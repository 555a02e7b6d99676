"""Finds out which held-out documents share text with the training split, once for all evaluations."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.evaluate import HeldOutContaminationConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.evaluation.held_out_contamination import find_contamination
from lmcore.runtime.files import read_csv, write_csv, write_json
from lmcore.text.documents.shards import batches_of, shards_of
from lmcore.text.split import group_by_split
from tasks.context.prefect import task

logger = logging.getLogger(__name__)

COLUMNS = ("id", "split", "text", "target")
HELD_OUT: tuple[Split, ...] = ("validation", "test")
TABLE, SUMMARY = "contamination.csv", "contamination.json"


@task
def measure_contamination(
    config: HeldOutContaminationConfig, split: SplitFractions, *, documents: Path, output: Path
) -> None:
    """Write ``contamination.csv``, with the shared fraction of each held-out document, and ``contamination.json``, with
    the totals of each split."""
    table = [(identity, name) for name in HELD_OUT for identity in _ids(documents, split, name)]
    found = find_contamination(
        lambda: (texts for name in HELD_OUT for texts in _texts(documents, split, name)),
        partial(_texts, documents, split, "train"),
        ngram_words=config.ngram_words,
    )
    shared = zip(table, found.n_words.tolist(), found.shared.tolist(), strict=True)
    rows = [(*known, n_words, f"{fraction:.4g}") for known, n_words, fraction in shared]
    write_csv(output / TABLE, ("id", "split", "n_words", "shared"), rows)
    is_test = np.array([name == "test" for _, name in table], bool)
    summary: dict[str, Any] = {
        "ngram_words": config.ngram_words,
        "validation": found.summary(~is_test, ngram_words=config.ngram_words),
        "test": found.summary(is_test, ngram_words=config.ngram_words),
    }
    write_json(output / SUMMARY, summary)
    logger.info(
        "%d of %d test documents are clean: they share no run of %d words with the training split. Metrics whose names "
        "end in _clean are computed on them",
        summary["test"]["n_clean"],
        summary["test"]["n_documents"],
        config.ngram_words,
    )


def read_is_clean(output: Path, ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of the held-out documents share nothing with the training split, bool (n_documents,)."""
    shared = {row["id"] for row in read_csv(output / TABLE) if float(row["shared"]) > 0}
    return np.array([identity not in shared for identity in ids], bool)


def _ids(documents: Path, fractions: SplitFractions, split: Split) -> Iterator[str]:
    for batch in _batches(documents, fractions, split):
        yield from batch["id"].to_pylist()


def _batches(documents: Path, fractions: SplitFractions, split: Split) -> Iterator[pa.Table]:
    for batch in batches_of(shards_of(documents), COLUMNS):
        yield group_by_split(pa.Table.from_batches([batch]), fractions)[split]


def _texts(documents: Path, fractions: SplitFractions, split: Split) -> Iterator[list[str]]:
    """The texts of a split in batches, each followed by its target, if it has one."""
    for batch in _batches(documents, fractions, split):
        pairs = zip(batch["text"].to_pylist(), batch["target"].to_pylist(), strict=True)
        yield [text if target is None else f"{text}\n{target}" for text, target in pairs]
