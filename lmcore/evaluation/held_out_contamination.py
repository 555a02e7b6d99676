"""Finds held-out documents that share text with the training split.

Cleaning drops training documents that consist mostly of held-out text. What the two splits still share (a paragraph, a
license, a table of parameters) makes a model look better than it is on new text. So every metric is computed a second
time on the clean held-out documents, those that share no run of words with the training split, as in the evaluation of
GPT-3 (Brown et al. 2020, https://arxiv.org/abs/2005.14165, appendix C).

A held-out document with fewer words than a run is compared as a whole. Runs that occur in many held-out documents are
boilerplate of the corpus, such as a prompt template, and do not count.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lmcore.evaluation.intervals import Flags
from lmcore.evaluation.result import Metrics
from lmcore.text.words.hashes import Hashes, run_hashes, word_hashes

TEMPLATE_FRACTION = 0.1
"""A run in more than this fraction of the held-out documents is a template."""
MAX_DOCUMENTS_OF_FEW = 9
"""With few held-out documents, a run in more documents than this, or in more than half of them, is a template."""

Texts = Iterable[Sequence[str]]
"""Texts in batches."""
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Contamination:
    """What each held-out document shares with the training split.

    Attributes:
        n_words: words of each document, int64 (n_documents,).
        shared: fraction of them in runs that the training split contains, float64 (n_documents,).
    """

    n_words: npt.NDArray[np.int64]
    shared: npt.NDArray[np.float64]

    @property
    def is_clean(self) -> Flags:
        """Which documents share nothing, bool (n_documents,)."""
        return np.asarray(self.shared == 0.0)

    def summary(self, chosen: Flags, *, ngram_words: int) -> dict[str, float]:
        """Counts over the ``chosen`` documents, bool (n_documents,): how many there are, how many are clean, how many
        were compared as a whole, and the fraction of their words that is shared."""
        n_words = self.n_words[chosen]
        return {
            "n_documents": len(n_words),
            "n_clean": int(np.count_nonzero(self.is_clean[chosen])),
            "n_compared_as_a_whole": int(np.count_nonzero(n_words < ngram_words)),
            "shared_words": round(float(self.shared[chosen] @ n_words / max(n_words.sum(), 1)), 6),
        }


def find_contamination(
    held_out: Callable[[], Texts], training: Callable[[], Texts], *, ngram_words: int
) -> Contamination:
    """Find the runs of words of held-out texts that also occur in training texts.

    Only the hashes of the held-out runs are kept in memory, 8 bytes per word; the training texts are streamed.

    Args:
        held_out: returns the held-out texts; called twice.
        training: returns the training texts; called once.
        ngram_words: number of words in a run.
    """
    known = _held_out_runs(held_out(), ngram_words)
    is_found = np.zeros(len(known), bool)
    for texts in training():
        for runs in _runs(texts, ngram_words):
            positions, is_known = _look_up(known, np.sort(runs.hashes))  # sorted, the search is several times faster
            is_found[positions[is_known]] = True
    found = known[is_found]
    sizes, fractions = [], []
    for texts in held_out():
        for runs in _runs(texts, ngram_words):
            sizes.append(runs.n_words)
            fractions.append(runs.covered(_look_up(found, runs.hashes)[1]))
    return Contamination(np.concatenate([np.empty(0, np.int64), *sizes]), np.concatenate([np.empty(0), *fractions]))


def measure_all_and_clean(
    is_clean: Flags, measure: Callable[[Indices], Metrics], sources: Sequence[str] = ()
) -> Metrics:
    """Metrics on all documents, and next to each the one on clean documents, if there are any.

    Args:
        is_clean: which documents are clean, bool (n_documents,).
        measure: computes the metrics on the documents with the given indices.
        sources: the source of each document; with several, all documents of each source are measured on their own.
    """
    metrics = measure(np.arange(len(is_clean)))
    if len(names := sorted(set(sources))) > 1:
        source_of = np.array(sources)
        metrics = replace(metrics, by_source={name: measure(np.flatnonzero(source_of == name)) for name in names})
    if not is_clean.any():
        return metrics
    return metrics.with_clean(metrics if is_clean.all() else measure(np.flatnonzero(is_clean)))


@dataclass(frozen=True)
class _Runs:
    """The runs of words of a batch of texts.

    Attributes:
        hashes: uint64 (n_runs,).
        starts: index of each text's first run, int64 (n_texts + 1,).
        n_words: words of each text, int64 (n_texts,).
        run_words: words in a run of each text, int64 (n_texts,): in a text that is shorter than a run, all of them.
    """

    hashes: Hashes
    starts: npt.NDArray[np.int64]
    n_words: npt.NDArray[np.int64]
    run_words: npt.NDArray[np.int64]

    def covered(self, is_found: Flags) -> npt.NDArray[np.float64]:
        """The fraction of each text's words that are in a found run, (n_texts,)."""
        fractions = np.zeros(len(self.n_words))
        for text, (start, end) in enumerate(pairwise(self.starts)):
            own = is_found[start:end]
            if own.any():
                n_words, length = int(self.n_words[text]), int(self.run_words[text])
                n_found = np.concatenate(([0], np.cumsum(own)))
                positions = np.arange(n_words)
                # The first and the last of the runs that contain a word.
                first, last = np.maximum(positions - length + 1, 0), np.minimum(positions, len(own) - 1)
                fractions[text] = np.count_nonzero(n_found[last + 1] > n_found[first]) / n_words
        return fractions


def _look_up(known: Hashes, queries: Hashes) -> tuple[npt.NDArray[np.int64], Flags]:
    """The positions of hashes among sorted known ones, and whether each is known."""
    positions = np.searchsorted(known, queries)
    is_known = positions < len(known)
    is_known[is_known] = known[positions[is_known]] == queries[is_known]
    return positions, is_known


def _runs(texts: Sequence[str], ngram_words: int) -> Iterator[_Runs]:
    for words in word_hashes(texts):
        hashes, starts = run_hashes(words, ngram_words)
        n_words = np.diff(words.offsets)
        short = np.flatnonzero((n_words > 0) & (n_words < ngram_words))
        whole = [_hash_of_whole(words.words[words.offsets[text] : words.offsets[text + 1]]) for text in short]
        hashes = np.insert(hashes, starts[short], np.array(whole, np.uint64))
        n_runs = np.diff(starts)
        n_runs[short] = 1
        yield _Runs(hashes, np.concatenate(([0], np.cumsum(n_runs))), n_words, np.minimum(n_words, ngram_words))


def _hash_of_whole(words: Hashes) -> int:
    return int.from_bytes(blake2b(words.tobytes(), digest_size=8).digest(), "little")


def _held_out_runs(held_out: Texts, ngram_words: int) -> Hashes:
    """The runs of the held-out texts without those of templates, sorted, uint64 (n_runs,)."""
    hashes, n_texts = [np.empty(0, np.uint64)], 0
    for texts in held_out:
        for runs in _runs(texts, ngram_words):
            owners = np.repeat(np.arange(len(runs.n_words)), np.diff(runs.starts))
            order = np.lexsort((owners, runs.hashes))
            ordered, by_owner = runs.hashes[order], owners[order]
            is_first = np.ones(len(ordered), bool)
            is_first[1:] = (ordered[1:] != ordered[:-1]) | (by_owner[1:] != by_owner[:-1])
            hashes.append(ordered[is_first])
            n_texts += len(runs.n_words)
    known, counts = np.unique(np.concatenate(hashes), return_counts=True)
    few = min(MAX_DOCUMENTS_OF_FEW, max(n_texts / 2, 1))
    return np.asarray(known[counts <= max(TEMPLATE_FRACTION * n_texts, few)])
