"""Which held-out documents share text with the training split: computed once for all evaluations."""

import csv
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
from lmcore.evaluation.contamination import Contamination, find_contamination
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import batches_of, shards_of
from lmcore.text.split import divide_by_split
from tasks.context.prefect import task
from tasks.evaluate.tables import write_csv

logger = logging.getLogger(__name__)

COLUMNS = ("id", "split", "text", "target")
HELD_OUT: tuple[Split, ...] = ("validation", "test")
TABLE, SUMMARY = "contamination.csv", "contamination.json"


@task
def compare_with_training(
    config: HeldOutContaminationConfig, split: SplitFractions, *, documents: Path, output: Path
) -> None:
    """Write ``contamination.csv``, how much each held-out document shares, and ``contamination.json``, the sums."""
    table = [(identity, name) for name in HELD_OUT for identity in _ids(documents, split, name)]
    found = find_contamination(
        lambda: (texts for name in HELD_OUT for texts in _texts(documents, split, name)),
        partial(_texts, documents, split, "train"),
        ngram_words=config.ngram_words,
    )
    shared = zip(table, found.n_words.tolist(), found.shared.tolist(), strict=True)
    rows = [(*known, n_words, f"{share:.4g}") for known, n_words, share in shared]
    write_csv(output / TABLE, ("id", "split", "n_words", "shared"), rows)
    is_test = np.array([name == "test" for _, name in table], bool)
    summary: dict[str, Any] = {
        "ngram_words": config.ngram_words,
        "validation": _count(found, ~is_test, config.ngram_words),
        "test": _count(found, is_test, config.ngram_words),
    }
    write_json(output / SUMMARY, summary)
    logger.info(
        "%d of %d test documents share no run of %d words with the training split: metrics named clean are on them",
        summary["test"]["n_clean"],
        summary["test"]["n_documents"],
        config.ngram_words,
    )


def is_clean(output: Path, ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of some held-out documents share nothing with the training split, bool (n_documents,)."""
    with (output / TABLE).open(newline="", encoding="utf-8") as file:
        shared = {row["id"] for row in csv.DictReader(file) if float(row["shared"]) > 0}
    return np.array([identity not in shared for identity in ids], bool)


def _count(found: Contamination, chosen: npt.NDArray[np.bool_], ngram_words: int) -> dict[str, float]:
    n_words = found.n_words[chosen]
    return {
        "n_documents": len(n_words),
        "n_clean": int(np.count_nonzero(found.is_clean[chosen])),
        "n_compared_as_a_whole": int(np.count_nonzero(n_words < ngram_words)),
        "shared_words": round(float(found.shared[chosen] @ n_words / max(n_words.sum(), 1)), 6),
    }


def _ids(documents: Path, fractions: SplitFractions, split: Split) -> Iterator[str]:
    for batch in _batches(documents, fractions, split):
        yield from batch["id"].to_pylist()


def _batches(documents: Path, fractions: SplitFractions, split: Split) -> Iterator[pa.Table]:
    for batch in batches_of(shards_of(documents), COLUMNS):
        yield divide_by_split(pa.Table.from_batches([batch]), fractions)[split]


def _texts(documents: Path, fractions: SplitFractions, split: Split) -> Iterator[list[str]]:
    """Documents with what they ask for, some at a time."""
    for batch in _batches(documents, fractions, split):
        pairs = zip(batch["text"].to_pylist(), batch["target"].to_pylist(), strict=True)
        yield [text if target is None else f"{text}\n{target}" for text, target in pairs]
