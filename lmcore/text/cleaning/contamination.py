"""Finds training documents that contain text of evaluation documents, by the n-grams of words they share.

This is the search of GPT-3 for its benchmarks (Brown et al. 2020, https://arxiv.org/abs/2005.14165, appendix C), but on
64-bit hashes; long training documents are represented by a sample of their hashes, chosen by the hashes themselves so
that all documents keep the same ones.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lmcore.text.words.hashes import Hashes, WordHashes, run_hashes

SAMPLING_INTERVAL = 8
"""One in this many runs of a training document is kept."""
MIN_SAMPLED_RUNS = 256
"""Documents with at most this many runs keep all of them."""
COMMON_DIVISOR, MIN_COMMON = 20, 2
"""In a small corpus, runs in more than one of twenty documents, and in more than two, are common."""
TABLE_BYTES_PER_RUN = 4
MAX_EVALUATION_RUNS = 16_000_000
"""If there are more (an eighth of a gigabyte), the runs of evaluation documents are sampled as well."""


class Runs(NamedTuple):
    """Runs of words: their sorted hashes, uint64 (n_runs,), and the index of each run's document, int32 (n_runs,)."""

    hashes: Hashes
    owners: npt.NDArray[np.int32]


def sampled_runs(texts: Sequence[WordHashes], is_training: npt.NDArray[np.bool_], n_words: int) -> Runs:
    """The runs of ``n_words`` words in each text; a sample of them for long training texts.

    Args:
        texts: the words of the documents.
        is_training: bool (n_texts,), whether each document is for training.
        n_words: length of a run.
    """
    each = list(_runs_of_each(texts, is_training, n_words))
    hashes = np.concatenate([np.empty(0, np.uint64), *each])
    owners = np.repeat(np.arange(len(each), dtype=np.int32), list(map(len, each)))
    # Sorted, so that lookups walk through a table from its start to its end.
    order = np.argsort(hashes)
    return Runs(hashes[order], owners[order])


def _runs_of_each(texts: Sequence[WordHashes], is_training: npt.NDArray[np.bool_], n_words: int) -> Iterator[Hashes]:
    limit = _hash_limit(SAMPLING_INTERVAL)
    index = 0
    for words in texts:
        runs, offsets = run_hashes(words, n_words)
        for start, end in pairwise(offsets):
            own = runs[start:end]
            if is_training[index] and len(own) > MIN_SAMPLED_RUNS:
                own = own[own < limit]
            yield own
            index += 1


def overlaps(
    runs: Callable[[], Iterator[Runs]],
    is_evaluation: Sequence[npt.NDArray[np.bool_]],
    is_training: Sequence[npt.NDArray[np.bool_]],
    common_documents: int | None,
) -> npt.NDArray[np.float64]:
    """The ratio of each training document's runs that also occur in an evaluation document.

    Common runs, which many documents contain, are not evidence of contamination and are not counted (as in Gao et al.,
    https://github.com/EleutherAI/lm-evaluation-harness, which ignores n-grams of more than ten documents).

    Args:
        runs: yields the result of :func:`sampled_runs` for each shard; called several times.
        is_evaluation: for each shard, bool (n_documents,), whether each document is held out.
        is_training: the same for training; a document may be neither.
        common_documents: a run in more training or more evaluation documents than this is common; in a small corpus,
            a run in more than a twentieth of them. ``None`` counts all runs.

    Returns:
        float64 (n_documents,) for the documents of all shards in order; zero for those that are not for training.
    """
    known = _evaluation_runs(runs, is_evaluation)
    common = known.only(np.zeros(len(known.hashes), bool))
    if common_documents is not None:
        is_common = np.zeros(len(known.hashes), bool)
        for chosen in (is_evaluation, is_training):
            n_documents = sum(map(np.count_nonzero, chosen))
            limit = min(common_documents, max(n_documents // COMMON_DIVISOR, MIN_COMMON))
            is_common |= _count_documents(known, runs(), chosen) > limit
        known, common = known.only(~is_common), known.only(is_common)
    shards = zip(runs(), is_training, strict=True)
    return np.concatenate([np.empty(0), *(_overlap_ratios(own, chosen, known, common) for own, chosen in shards)])


class KnownRuns:
    """A set of hashes with fast lookup of many hashes at once, fastest if they are sorted.

    Args:
        hashes: the members, none above the limit; the array is sorted in place.
        limit: the highest hash that may be looked up.
    """

    def __init__(self, hashes: Hashes, limit: np.uint64) -> None:
        self.limit = limit
        self.hashes = hashes
        self.hashes.sort()
        # Most lookups find nothing, which a Bloom filter (Bloom 1970) shows without a search: hashes with the same
        # first bits share a byte, in which each sets one or two bits.
        n_bits = max(TABLE_BYTES_PER_RUN * len(hashes), 2).bit_length()
        self._shift = np.uint64(int(limit).bit_length() - n_bits)
        self._table = np.zeros(1 << n_bits, np.uint8)
        indices = self.hashes >> self._shift
        first = np.flatnonzero(np.diff(indices, prepend=np.uint64(2**64 - 1)))
        if len(first):
            self._table[indices[first]] = np.bitwise_or.reduceat(_bloom_bits(self.hashes), first)

    def contains(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each hash is in the set, bool (n_hashes,); none may be above the limit."""
        bits = _bloom_bits(hashes)
        found: npt.NDArray[np.bool_] = self._table[hashes >> self._shift] & bits == bits
        candidates = hashes[found]
        found[found] = self.hashes[np.searchsorted(self.hashes, candidates) % max(len(self.hashes), 1)] == candidates
        return found

    def only(self, chosen: npt.NDArray[np.bool_]) -> "KnownRuns":
        """The subset of the hashes that ``chosen``, bool (n_hashes,), selects."""
        return KnownRuns(self.hashes[chosen], self.limit)


def _evaluation_runs(runs: Callable[[], Iterator[Runs]], is_evaluation: Sequence[npt.NDArray[np.bool_]]) -> KnownRuns:
    """The distinct runs of evaluation documents, or a sample of them if there are too many."""
    shards = zip(runs(), is_evaluation, strict=True)
    n_runs = sum(int(np.count_nonzero(chosen[own.owners])) for own, chosen in shards)
    limit = _hash_limit(1 << (n_runs // MAX_EVALUATION_RUNS).bit_length())
    shards = zip((_up_to(limit, own) for own in runs()), is_evaluation, strict=True)
    known = (own.hashes[chosen[own.owners]] for own, chosen in shards)
    return KnownRuns(np.unique(np.concatenate([np.empty(0, np.uint64), *known])), limit)


def _count_documents(
    known: KnownRuns, runs: Iterator[Runs], chosen: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.int32]:
    """In how many of the chosen documents each known run occurs, int32 (n_known,)."""
    n_documents = np.zeros(len(known.hashes), np.int32)
    for own, is_chosen in zip(runs, chosen, strict=True):
        selected = _of_chosen(_up_to(known.limit, own), is_chosen)
        is_known = known.contains(selected.hashes)
        indices = np.searchsorted(known.hashes, selected.hashes[is_known])
        # A document counts once, however often it contains the run.
        once = np.unique(indices * len(is_chosen) + selected.owners[is_known]) // max(len(is_chosen), 1)
        found, counts = np.unique(once, return_counts=True)
        n_documents[found] += counts.astype(np.int32)
    return n_documents


def _overlap_ratios(
    runs: Runs, is_training: npt.NDArray[np.bool_], known: KnownRuns, common: KnownRuns
) -> npt.NDArray[np.float64]:
    selected = _of_chosen(_up_to(known.limit, runs), is_training)
    if len(common.hashes):
        is_rare = ~common.contains(selected.hashes)
        selected = Runs(selected.hashes[is_rare], selected.owners[is_rare])
    owners_of_known = selected.owners[known.contains(selected.hashes)]
    n_known, n_all = (np.bincount(own, minlength=len(is_training)) for own in (owners_of_known, selected.owners))
    ratios: npt.NDArray[np.float64] = n_known / np.maximum(n_all, 1)
    return ratios


def _of_chosen(runs: Runs, is_chosen: npt.NDArray[np.bool_]) -> Runs:
    is_selected = is_chosen[runs.owners]
    return Runs(runs.hashes[is_selected], runs.owners[is_selected])


def _up_to(limit: np.uint64, runs: Runs) -> Runs:
    n_runs = int(np.searchsorted(runs.hashes, limit, side="right"))
    return Runs(runs.hashes[:n_runs], runs.owners[:n_runs])


def _bloom_bits(hashes: Hashes) -> npt.NDArray[np.uint8]:
    """A byte for each hash with one or two bits set, which its lowest six bits choose."""
    first, second = ((hashes >> shift & np.uint64(7)).astype(np.uint8) for shift in (np.uint64(0), np.uint64(3)))
    bits: npt.NDArray[np.uint8] = np.uint8(1) << first | np.uint8(1) << second
    return bits


def _hash_limit(interval: int) -> np.uint64:
    """The limit below which one in ``interval`` hashes is."""
    return np.uint64(2**64 // interval - 1)
