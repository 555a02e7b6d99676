"""Documents that are almost another one: candidates by their signatures, decided by their texts.

Documents with another label or another target are no duplicates, whatever their texts. What a large part of all
documents holds, such as an instruction, tells nothing of two of them, and is left out where enough else remains.

Signatures are cut into bands, and documents that agree in a band are compared (locality-sensitive hashing; Indyk &
Motwani 1998; Leskovec et al., Mining of Massive Datasets, chapter 3). What is dropped has been compared shingle by
shingle, so that no document goes that is not similar to one that stays.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmcore.config.clean import NearDuplicateConfig
from lmcore.text.cleaning.corpus import Documents, Rows
from lmcore.text.cleaning.reasons import Reason, reason_table
from lmcore.text.cleaning.signatures import HIGH_BITS, N_PERMUTATIONS, Signatures, has_words, shingles
from lmcore.text.words.hashes import Hashes, word_hashes

LEAST_RECALL = 0.98
"""How likely two documents of just the similarity that counts are to agree in some band."""
ESTIMATE_MARGIN = 0.25
"""Three standard deviations of an estimate by 32 numbers: what lies further below is not compared."""
WHOLE_BUCKET = 16
"""Documents that agree in a band are all compared with each other if they are so few."""
LEADERS = 8
"""Else each is compared with the best of them, and with those that follow it."""
SAMPLED_DOCUMENTS, COMMON_SHARE, LEAST_COMMON_DOCUMENTS = 2_000, 0.1, 10
"""By so many documents it is told which shingles stand in how large a part of all of them, and in more than a few."""
NOTHING = np.empty(0, np.uint64)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
ROWS_AT_ONCE, PAIRS_AT_ONCE = 100_000, 200_000
BYTES_AT_ONCE = 64_000_000

Pairs = npt.NDArray[np.int64]
Bands = npt.NDArray[np.uint32]


def near_duplicates(
    documents: Documents,
    rows: Rows,
    signatures_of: Callable[[Rows], Signatures],
    texts_of: Callable[[Rows], list[str]],
    config: NearDuplicateConfig,
) -> pa.Table:
    """What to drop, as a table of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`.

    Of documents that are near each other the best copy stays: one that is held out before one for training, then the
    longest. The score is the Jaccard similarity to the document that stays, which the detail names.

    Args:
        documents: all of them.
        rows: that take part, in their order.
        signatures_of: gives the signatures of some rows.
        texts_of: gives the texts of some rows.
        config: which similarity is too much.
    """
    bands, is_asked = _bands(documents.answers[rows], rows, signatures_of, rows_per_band(config.similarity))
    order = _best_first(documents, rows)
    order = order[is_asked[order]]
    ordered = rows[order]
    least_equal = max(config.similarity - ESTIMATE_MARGIN, 0.0) * N_PERMUTATIONS
    pairs = _candidates(bands, order, lambda some: signatures_of(ordered[some]), least_equal)
    pairs = pairs[np.equal(*documents.answers[ordered][pairs].T)]
    common = _common_shingles(documents, ordered, texts_of, config.shingle_words) if len(pairs) else NOTHING

    def sets_of(some: Rows) -> list[Hashes]:
        sets = _sets(texts_of(some), config.shingle_words)
        # One word that differs is in as many shingles as these have words: for a text alone that is not enough of its
        # own, as in copies of a template. What has a label or a target is told from others by the least.
        fewest = np.where(documents.answers[some] > 0, 1, config.shingle_words + 1)
        return list(map(partial(_without, common), sets, fewest.tolist()))

    similarities = _similarities(pairs, ordered, documents.n_bytes[ordered], sets_of)
    is_near = similarities >= config.similarity
    drops = _greedy(pairs[is_near], similarities[is_near])
    ids = documents.ids
    return reason_table(
        (
            int(ordered[worse]),
            Reason("near_duplicate", similarity, config.similarity, f"near {ids[int(ordered[better])].as_py().hex()}"),
        )
        for worse, (better, similarity) in sorted(drops.items(), key=lambda drop: ordered[drop[0]])
    )


def rows_per_band(similarity: float) -> int:
    """The most numbers of a band with which pairs of that similarity are still found."""

    def recall(size: int) -> float:
        return 1 - (1 - similarity**size) ** (N_PERMUTATIONS // size)

    return max((size for size in (1, 2, 4, 8, 16) if recall(size) >= LEAST_RECALL), default=1)


def _bands(
    answers: Hashes, rows: Rows, signatures_of: Callable[[Rows], Signatures], size: int
) -> tuple[Bands, npt.NDArray[np.bool_]]:
    """A number for each band of some documents, uint32 (n_bands, n_rows), and whether they have words (n_rows,).

    Numbers are equal where bands and answers are; what else they are equal for is found to be different later.
    """
    is_asked = np.empty(len(rows), bool)
    bands = np.empty((N_PERMUTATIONS // size, len(rows)), np.uint32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        some = signatures_of(rows[part])
        is_asked[part] = has_words(some)
        for band, first in zip(bands, range(0, N_PERMUTATIONS, size), strict=True):
            band[part] = _as_one_number(answers[part], some[:, first : first + size])
    return bands, is_asked


def _best_first(documents: Documents, rows: Rows) -> Rows:
    """Places of some rows, in the order in which they are to stay, the same wherever they stand."""
    # Those for training behind all others, and the longer ones before the shorter ones.
    behind = documents.is_evaluation[rows] * np.int64(-(2**32)) - documents.n_bytes[rows]
    return np.lexsort((documents.beginnings_of_ids()[rows], behind))


def _candidates(bands: Bands, order: Rows, signatures_of: Callable[[Rows], Signatures], least_equal: float) -> Pairs:
    """Pairs (better, worse) that agree in a band and may be similar enough, int64 (n_pairs, 2), each once.

    Args:
        bands: numbers of each document's bands.
        order: the places of the documents there, best first; pairs name places in this order.
        signatures_of: gives the signatures of some documents by their places in the order.
        least_equal: so many numbers have to be equal in the signatures of a pair.
    """
    found = [np.empty(0, np.int64)]
    for band in bands:
        for pairs in _pairs_that_agree(band[order]):
            some, places = np.unique(pairs, return_inverse=True)
            signatures = signatures_of(some)
            first, second = places.reshape(-1, 2).T
            n_equal = (signatures[first] == signatures[second]).sum(axis=1)
            better, worse = pairs[n_equal >= least_equal].T
            found.append(better * len(order) + worse)
    keys = np.unique(np.concatenate(found))
    return np.stack(np.divmod(keys, max(len(order), 1)), axis=1)


def _as_one_number(answers: Hashes, band: Signatures) -> npt.NDArray[np.uint32]:
    """A number for each document (n_documents,), equal where the answers and the bands are."""
    numbers = answers.copy()
    for column in band.T:
        numbers = (numbers + column) * MULTIPLIER
    return (numbers >> HIGH_BITS).astype(np.uint32)


def _pairs_that_agree(band: npt.NDArray[np.uint32]) -> Iterator[Pairs]:
    """Yield pairs of documents with an equal band, some at a time; in a large bucket not all of them."""
    members = np.argsort(band, kind="stable")
    in_order = band[members]
    is_like_last = np.append(False, in_order[1:] == in_order[:-1])[: len(band)]
    has_company = is_like_last | np.roll(is_like_last, -1)
    members = members[has_company]
    starts = np.flatnonzero(~is_like_last[has_company])
    sizes = np.diff(starts, append=len(members))
    ends = starts + sizes
    place_in_bucket = np.arange(len(members)) - np.repeat(starts, sizes)
    behind = np.repeat(ends, sizes) - 1 - np.arange(len(members))
    is_large = np.repeat(sizes > WHOLE_BUCKET, sizes)
    # A small bucket's members, and the leaders of a large one, meet all behind them; the others the next few.
    reach = np.where(is_large & (place_in_bucket >= LEADERS), np.minimum(behind, LEADERS), behind)
    for start, end in _portions(reach, PAIRS_AT_ONCE):
        first = np.repeat(np.arange(start, end), reach[start:end])
        step = np.arange(len(first)) - np.repeat(np.cumsum(reach[start:end]) - reach[start:end], reach[start:end]) + 1
        yield np.stack((members[first], members[first + step]), axis=1)


def _common_shingles(documents: Documents, rows: Rows, texts_of: Callable[[Rows], list[str]], n_words: int) -> Hashes:
    """Shingles that a large part of all documents holds, in order; told by a sample that the documents' ids choose."""
    sample = rows[np.argsort(documents.beginnings_of_ids()[rows], kind="stable")[:SAMPLED_DOCUMENTS]]
    least = max(COMMON_SHARE * len(sample), LEAST_COMMON_DOCUMENTS)
    different = _sets(texts_of(sample), n_words)
    found, n_documents = np.unique(np.concatenate([NOTHING, *different]), return_counts=True)
    common: Hashes = found[n_documents > least]
    return common


def _similarities(
    pairs: Pairs,
    rows: Rows,
    n_bytes: npt.NDArray[np.int32],
    sets_of: Callable[[Rows], list[Hashes]],
) -> npt.NDArray[np.float64]:
    """The Jaccard similarity of each pair's sets of shingles, (n_pairs,)."""
    similarities = np.empty(len(pairs))
    for start, end in _portions(n_bytes[pairs].sum(axis=1, dtype=np.int64), BYTES_AT_ONCE):
        some, places = np.unique(pairs[start:end], return_inverse=True)
        similarities[start:end] = _jaccard(sets_of(rows[some]), places.reshape(-1, 2))
    return similarities


def _sets(texts: Sequence[str], n_words: int) -> list[Hashes]:
    """The different shingles of each text."""
    parts = (shingles(words, n_words) for words in word_hashes(texts))
    return [np.unique(part.hashes[start:end]) for part in parts for start, end in pairwise(part.offsets)]


def _without(common: Hashes, some: Hashes, fewest: int) -> Hashes:
    """Shingles without the common ones, if enough others remain."""
    if not len(common):
        return some
    own: Hashes = np.setdiff1d(some, common, assume_unique=True)
    return own if len(own) >= fewest else some


def _jaccard(sets: Sequence[npt.NDArray[np.uint64]], pairs: Pairs) -> npt.NDArray[np.float64]:
    sizes = np.asarray([len(one) for one in sets])
    n_common = np.asarray(
        [len(np.intersect1d(sets[one], sets[other], assume_unique=True)) for one, other in pairs], np.int64
    )
    result: npt.NDArray[np.float64] = n_common / (sizes[pairs].sum(axis=1) - n_common)
    return result


def _greedy(pairs: Pairs, similarities: npt.NDArray[np.float64]) -> dict[int, tuple[int, float]]:
    """What goes, and to which one that stays it is most similar; best first, each against those that stay."""
    dropped: dict[int, tuple[int, float]] = {}
    for place in np.lexsort((pairs[:, 0], -similarities, pairs[:, 1])).tolist():
        better, worse = pairs[place].tolist()
        # Whatever is better than this one has been decided before it.
        if worse not in dropped and better not in dropped:
            dropped[worse] = (better, float(similarities[place]))
    return dropped


def _portions(sizes: npt.NDArray[np.integer], limit: int) -> Iterator[tuple[int, int]]:
    """Yield borders of stretches whose sizes sum up to about ``limit``."""
    start, n_items = 0, len(sizes)
    sums = np.cumsum(sizes, dtype=np.int64)
    while start < n_items:
        before = int(sums[start - 1]) if start else 0
        end = max(int(np.searchsorted(sums, before + limit, side="right")), start + 1)
        yield start, end
        start = end
