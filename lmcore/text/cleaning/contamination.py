"""Training documents that hold evaluation documents: found by the runs of words that both share.

As the authors of GPT-3 looked for their benchmarks in their training text (Brown et al. 2020,
https://arxiv.org/abs/2005.14165, appendix C), but by 64-bit hashes, and of a long training document by a sample of
them that is chosen by the hashes themselves, the same in all documents.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.text.cleaning.word_hashes import Hashes, WordHashes, run_hashes

SAMPLED_SHARE = 8
"""One of so many runs of a training document is kept."""
FEWEST_SAMPLED = 256
"""Documents with fewer runs keep all of them."""
SPARSE = 4
"""Bytes of the table of marks for each run of an evaluation document."""
MOST_EVALUATION_RUNS = 16_000_000
"""Beyond this, an eighth of a gigabyte, runs of evaluation documents are sampled as well."""


def sampled_runs(texts: Sequence[WordHashes], is_training: npt.NDArray[np.bool_], n_words: int) -> pa.ListArray:
    """The runs of ``n_words`` words in each text, as lists of uint64: all, or a sample.

    Args:
        texts: words of documents.
        is_training: bool (n_texts,): of long ones among these only a sample is taken.
        n_words: in a run.
    """
    lists = list(_runs_of_each(texts, is_training, n_words))
    offsets = np.cumsum([0, *map(len, lists)])
    values = np.concatenate([np.empty(0, np.uint64), *lists])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, pa.uint64()))


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
    runs: Callable[[], Iterator[pa.ListArray]], is_evaluation: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.float64]:
    """The share of each training document's runs that stand in some evaluation document, zero where it has none.

    Args:
        runs: of the documents of each shard, as :func:`sampled_runs` gives them; read twice, one shard at a time.
        is_evaluation: of each shard's documents.

    Returns:
        (n_documents,), shard after shard; zero for evaluation documents.
    """
    known = _evaluation_runs(runs(), is_evaluation)
    shards = zip(runs(), is_evaluation, strict=True)
    return np.concatenate([np.empty(0), *(_shares(lists, ~chosen, known) for lists, chosen in shards)])


class KnownRuns:
    """A set of hashes, all of them up to a limit; the array is taken over."""

    def __init__(self, hashes: Hashes, limit: np.uint64) -> None:
        self.limit = limit
        self._sorted = hashes
        self._sorted.sort()
        # Most of what is asked for is not there, and a table of marks says so without a search: a byte for all hashes
        # that begin alike, and in it a bit for those that end alike.
        n_bits = max(SPARSE * len(hashes), 2).bit_length()
        self._shift = np.uint64(int(limit).bit_length() - n_bits)
        self._marks = np.zeros(1 << n_bits, np.uint8)
        places = self._sorted >> self._shift
        first = np.flatnonzero(np.diff(places, prepend=np.uint64(2**64 - 1)))
        if len(first):
            self._marks[places[first]] = np.bitwise_or.reduceat(_bit(self._sorted), first)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each of some hashes, none of them above the limit, is there."""
        found: npt.NDArray[np.bool_] = self._marks[hashes >> self._shift] & _bit(hashes) != 0
        asked = hashes[found]
        found[found] = self._sorted[np.searchsorted(self._sorted, asked) % max(len(self._sorted), 1)] == asked
        return found


def _evaluation_runs(runs: Iterator[pa.ListArray], is_evaluation: Sequence[npt.NDArray[np.bool_]]) -> KnownRuns:
    """The runs of evaluation documents, below a limit."""
    share, n_runs = 1, 0
    parts = [np.empty(0, np.uint64)]
    for lists, chosen in zip(runs, is_evaluation, strict=True):
        some = lists.filter(pa.array(chosen)).flatten().to_numpy(zero_copy_only=False)
        parts.append(some[some <= _limit(share)])
        n_runs += len(parts[-1])
        while n_runs > MOST_EVALUATION_RUNS:
            share *= 2
            parts = [part[part <= _limit(share)] for part in parts]
            n_runs = sum(map(len, parts))
    return KnownRuns(np.concatenate(parts), _limit(share))


def _shares(lists: pa.ListArray, is_training: npt.NDArray[np.bool_], known: KnownRuns) -> npt.NDArray[np.float64]:
    chosen = lists.filter(pa.array(is_training))
    values = chosen.flatten().to_numpy(zero_copy_only=False)
    owners = np.repeat(np.flatnonzero(is_training), chosen.value_lengths().to_numpy(zero_copy_only=False))
    is_asked = values <= known.limit
    owners, values = owners[is_asked], values[is_asked]
    n_known, n_all = (np.bincount(some, minlength=len(lists)) for some in (owners[known.holds(values)], owners))
    shares: npt.NDArray[np.float64] = n_known / np.maximum(n_all, 1)
    return shares


def _bit(hashes: Hashes) -> npt.NDArray[np.uint8]:
    """One of the eight bits of a byte for each hash."""
    bits: npt.NDArray[np.uint8] = np.uint8(1) << (hashes & np.uint64(7)).astype(np.uint8)
    return bits


def _limit(share: int) -> np.uint64:
    return np.uint64(2**64 // share - 1)
