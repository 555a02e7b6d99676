"""Training documents that hold evaluation documents: found by the runs of words that both share.

As the authors of GPT-3 looked for their benchmarks in their training text (Brown et al. 2020,
https://arxiv.org/abs/2005.14165, appendix C), but by 64-bit hashes, and of a long training document by a sample of
them that is chosen by the hashes themselves, the same in all documents.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lmcore.text.words.hashes import Hashes, WordHashes, run_hashes

SAMPLED_SHARE = 8
"""One of so many runs of a training document is kept."""
FEWEST_SAMPLED = 256
"""Documents with fewer runs keep all of them."""
FEW_DOCUMENTS, LEAST_COMMON = 20, 2
"""Where documents are few, runs in more than one of twenty, but at least in three, are common."""
SPARSE = 4
"""Bytes of the table for each run of an evaluation document."""
MOST_EVALUATION_RUNS = 16_000_000
"""Beyond this, an eighth of a gigabyte, runs of evaluation documents are sampled as well."""


class Runs(NamedTuple):
    """Runs of words of some documents: their hashes in order, uint64 (n_runs,), and whose they are, int32 (n_runs,)."""

    hashes: Hashes
    owners: npt.NDArray[np.int32]


def sampled_runs(texts: Sequence[WordHashes], is_training: npt.NDArray[np.bool_], n_words: int) -> Runs:
    """The runs of ``n_words`` words in each text: all, or a sample.

    Args:
        texts: words of documents.
        is_training: bool (n_texts,): of long ones among these only a sample is taken.
        n_words: in a run.
    """
    each = list(_runs_of_each(texts, is_training, n_words))
    hashes = np.concatenate([np.empty(0, np.uint64), *each])
    owners = np.repeat(np.arange(len(each), dtype=np.int32), list(map(len, each)))
    # In order, so that what is asked of a table is asked from its beginning to its end.
    order = np.argsort(hashes)
    return Runs(hashes[order], owners[order])


def _runs_of_each(texts: Sequence[WordHashes], is_training: npt.NDArray[np.bool_], n_words: int) -> Iterator[Hashes]:
    limit = _limit(SAMPLED_SHARE)
    number = 0
    for words in texts:
        runs, offsets = run_hashes(words, n_words)
        for start, end in pairwise(offsets):
            own = runs[start:end]
            if is_training[number] and len(own) > FEWEST_SAMPLED:
                own = own[own < limit]
            yield own
            number += 1


def overlaps(
    runs: Callable[[], Iterator[Runs]],
    is_evaluation: Sequence[npt.NDArray[np.bool_]],
    is_training: Sequence[npt.NDArray[np.bool_]],
    common_documents: int | None,
) -> npt.NDArray[np.float64]:
    """The share of each training document's runs that stand in some evaluation document, zero where it has none.

    Runs that many documents share say nothing of where a document is from: they count neither as its own nor as others'
    (as in the search of Gao et al., https://github.com/EleutherAI/lm-evaluation-harness, which leaves out n-grams of
    more than ten documents).

    Args:
        runs: of the documents of each shard, as :func:`sampled_runs` gives them; read several times, shard by shard.
        is_evaluation: of each shard's documents.
        is_training: likewise; a document may be neither.
        common_documents: runs in more training documents or more evaluation documents than this are common; of a few
            documents, those in more than a twentieth of them. Null counts all runs.

    Returns:
        (n_documents,), shard after shard; zero for all but training documents.
    """
    known = _evaluation_runs(runs, is_evaluation)
    common = known.only(np.zeros(len(known.hashes), bool))
    if common_documents is not None:
        is_common = np.zeros(len(known.hashes), bool)
        for chosen in (is_evaluation, is_training):
            n_documents = sum(map(np.count_nonzero, chosen))
            most = min(common_documents, max(n_documents // FEW_DOCUMENTS, LEAST_COMMON))
            is_common |= _documents_with(known, runs(), chosen) > most
        known, common = known.only(~is_common), known.only(is_common)
    shards = zip(runs(), is_training, strict=True)
    return np.concatenate([np.empty(0), *(_shares(some, chosen, known, common) for some, chosen in shards)])


class KnownRuns:
    """A set of hashes, all of them up to a limit; the array is taken over. Asked in order, it answers soonest.

    Attributes:
        hashes: in order.
        limit: the highest that is asked for.
    """

    def __init__(self, hashes: Hashes, limit: np.uint64) -> None:
        self.limit = limit
        self.hashes = hashes
        self.hashes.sort()
        # Most of what is asked for is not there, and a table says so without a search (Bloom 1970): a byte for all
        # hashes that begin alike, with the marks of each.
        n_bits = max(SPARSE * len(hashes), 2).bit_length()
        self._shift = np.uint64(int(limit).bit_length() - n_bits)
        self._table = np.zeros(1 << n_bits, np.uint8)
        places = self.hashes >> self._shift
        first = np.flatnonzero(np.diff(places, prepend=np.uint64(2**64 - 1)))
        if len(first):
            self._table[places[first]] = np.bitwise_or.reduceat(_marks(self.hashes), first)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each of some hashes, none of them above the limit, is there."""
        marks = _marks(hashes)
        found: npt.NDArray[np.bool_] = self._table[hashes >> self._shift] & marks == marks
        asked = hashes[found]
        found[found] = self.hashes[np.searchsorted(self.hashes, asked) % max(len(self.hashes), 1)] == asked
        return found

    def only(self, chosen: npt.NDArray[np.bool_]) -> "KnownRuns":
        """Some of the hashes."""
        return KnownRuns(self.hashes[chosen], self.limit)


def _evaluation_runs(runs: Callable[[], Iterator[Runs]], is_evaluation: Sequence[npt.NDArray[np.bool_]]) -> KnownRuns:
    """The different runs of evaluation documents; below a limit, where they are too many."""
    shards = zip(runs(), is_evaluation, strict=True)
    n_runs = sum(int(np.count_nonzero(chosen[some.owners])) for some, chosen in shards)
    limit = _limit(1 << (n_runs // MOST_EVALUATION_RUNS).bit_length())
    shards = zip((_up_to(limit, some) for some in runs()), is_evaluation, strict=True)
    known = (some.hashes[chosen[some.owners]] for some, chosen in shards)
    return KnownRuns(np.unique(np.concatenate([np.empty(0, np.uint64), *known])), limit)


def _documents_with(
    known: KnownRuns, runs: Iterator[Runs], chosen: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.int32]:
    """In how many of the chosen documents each run stands, (n_runs,)."""
    n_documents = np.zeros(len(known.hashes), np.int32)
    for some, is_chosen in zip(runs, chosen, strict=True):
        asked = _of_chosen(_up_to(known.limit, some), is_chosen)
        is_known = known.holds(asked.hashes)
        places = np.searchsorted(known.hashes, asked.hashes[is_known])
        # A document counts once, however often it has the run.
        once = np.unique(places * len(is_chosen) + asked.owners[is_known]) // max(len(is_chosen), 1)
        found, counts = np.unique(once, return_counts=True)
        n_documents[found] += counts.astype(np.int32)
    return n_documents


def _shares(
    runs: Runs, is_training: npt.NDArray[np.bool_], known: KnownRuns, common: KnownRuns
) -> npt.NDArray[np.float64]:
    asked = _of_chosen(_up_to(known.limit, runs), is_training)
    if len(common.hashes):
        is_own = ~common.holds(asked.hashes)
        asked = Runs(asked.hashes[is_own], asked.owners[is_own])
    owners_of_known = asked.owners[known.holds(asked.hashes)]
    n_known, n_all = (np.bincount(own, minlength=len(is_training)) for own in (owners_of_known, asked.owners))
    shares: npt.NDArray[np.float64] = n_known / np.maximum(n_all, 1)
    return shares


def _of_chosen(runs: Runs, is_chosen: npt.NDArray[np.bool_]) -> Runs:
    is_asked = is_chosen[runs.owners]
    return Runs(runs.hashes[is_asked], runs.owners[is_asked])


def _up_to(limit: np.uint64, runs: Runs) -> Runs:
    n_runs = int(np.searchsorted(runs.hashes, limit, side="right"))
    return Runs(runs.hashes[:n_runs], runs.owners[:n_runs])


def _marks(hashes: Hashes) -> npt.NDArray[np.uint8]:
    """Two bits of a byte for each hash, chosen by its last bits; or one, where these choose the same."""
    one, other = ((hashes >> shift & np.uint64(7)).astype(np.uint8) for shift in (np.uint64(0), np.uint64(3)))
    marks: npt.NDArray[np.uint8] = np.uint8(1) << one | np.uint8(1) << other
    return marks


def _limit(share: int) -> np.uint64:
    return np.uint64(2**64 // share - 1)
