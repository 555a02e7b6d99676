"""The 5-gram model on Penn Treebank: time for counting, smoothing and testing."""

import gzip
import math
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.line import Line
from lmcore.models.ngram.kneser_ney import KneserNey

DATA = Path(__file__).parents[2] / "shared" / "data" / "ptb"


def penn_treebank() -> list[Line]:
    """One line: seconds from the text to the test perplexity."""
    name = "5-gram Kneser-Ney on Penn Treebank: train and test"
    if not DATA.exists():
        return [Line(name, None, None, "s", None, 10.0, "lower", f"not measured: {DATA} does not exist")]
    start = time.perf_counter()
    training, test = (_read(split) for split in ("train", "test"))
    words = {word: index for index, word in enumerate(Counter(word for line in training for word in line), start=1)}
    streams = [[np.array([words[word] for word in line] + [0]) for line in lines] for lines in (training, test)]
    offsets = np.cumsum([0, *map(len, streams[0])])
    model = KneserNey.train(np.concatenate(streams[0]), offsets, order=5, vocabulary_size=len(words) + 1, start_token=0)
    perplexity = math.exp(-float(np.concatenate(model.log_probabilities(streams[1])).mean()))
    seconds = time.perf_counter() - start
    return [
        Line(
            name,
            seconds,
            10.0,
            "s",
            seconds,
            10.0,
            "lower",
            f"perplexity {perplexity:.2f}; the baseline is the time limit",
        )
    ]


def _read(split: str) -> list[list[str]]:
    with gzip.open(DATA / f"{split}.txt.gz", "rt", encoding="utf-8") as file:
        return [line.split() for line in file]
