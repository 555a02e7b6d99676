"""Finds near duplicates: candidate pairs by their MinHash signatures, confirmed on the texts.

Documents with different labels or targets are not duplicates, whatever their texts. Shingles that many documents share,
such as an instruction, are ignored if enough others remain.

Signatures are cut into bands, and documents that agree in a band are compared (locality-sensitive hashing; Indyk &
Motwani 1998; Leskovec et al., Mining of Massive Datasets, chapter 3). Candidate pairs are then compared shingle by
shingle, so that every dropped document really is similar to one that is kept.
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

MIN_RECALL = 0.98
"""Lower bound of the probability that two documents of exactly the threshold similarity agree in some band."""
ESTIMATE_MARGIN = 0.25
"""Three standard deviations of a similarity estimated from 32 numbers: pairs further below are not compared."""
WHOLE_BUCKET = 16
"""Up to this many documents that agree in a band are all compared with each other."""
LEADERS = 8
"""In a larger bucket, each document is compared with the best ones and with as many that follow it."""
SAMPLED_DOCUMENTS, COMMON_RATIO, MIN_COMMON_DOCUMENTS = 2_000, 0.1, 10
"""A shingle is common if more than this ratio of a sample of documents contain it, and more than this number."""
NO_HASHES = np.empty(0, np.uint64)
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
    """The near duplicates to drop, as a table of :data:`lmcore.text.cleaning.reasons.REASON_SCHEMA`.

    The best copy is kept: a held-out one before one for training, then the longest. The score is the Jaccard similarity
    to the document that is kept, which the detail names.

    Args:
        documents: all documents.
        rows: the documents that take part, in order.
        signatures_of: returns the signatures of given rows.
        texts_of: returns the texts of given rows.
        config: the similarity from which a document is dropped.
    """
    bands, has_text = _bands(documents.answers[rows], rows, signatures_of, rows_per_band(config.similarity))
    order = _best_first(documents, rows)
    order = order[has_text[order]]
    ordered = rows[order]
    min_equal = max(config.similarity - ESTIMATE_MARGIN, 0.0) * N_PERMUTATIONS
    pairs = _candidates(bands, order, lambda indices: signatures_of(ordered[indices]), min_equal)
    pairs = pairs[np.equal(*documents.answers[ordered][pairs].T)]
    common = _common_shingles(documents, ordered, texts_of, config.shingle_words) if len(pairs) else NO_HASHES

    def sets_of(chosen: Rows) -> list[Hashes]:
        sets = _sets(texts_of(chosen), config.shingle_words)
        # One differing word changes as many shingles as a shingle has words: copies of a template may differ in no
        # more than that, so it must not be all that remains of a plain text. With a label or target, one is enough.
        min_remaining = np.where(documents.answers[chosen] > 0, 1, config.shingle_words + 1)
        return list(map(partial(_without_common, common), sets, min_remaining.tolist()))

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
    """The largest number of signature rows per band that still finds pairs of this similarity."""

    def recall(size: int) -> float:
        return 1 - (1 - similarity**size) ** (N_PERMUTATIONS // size)

    return max((size for size in (1, 2, 4, 8, 16) if recall(size) >= MIN_RECALL), default=1)


def _bands(
    answers: Hashes, rows: Rows, signatures_of: Callable[[Rows], Signatures], size: int
) -> tuple[Bands, npt.NDArray[np.bool_]]:
    """A hash of each band and answer, uint32 (n_bands, n_rows), and whether a document has words, bool (n_rows,).

    Hash collisions do not matter: candidate pairs are compared again.
    """
    has_text = np.empty(len(rows), bool)
    bands = np.empty((N_PERMUTATIONS // size, len(rows)), np.uint32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        signatures = signatures_of(rows[part])
        has_text[part] = has_words(signatures)
        for band, first in zip(bands, range(0, N_PERMUTATIONS, size), strict=True):
            band[part] = _band_hashes(answers[part], signatures[:, first : first + size])
    return bands, has_text


def _best_first(documents: Documents, rows: Rows) -> Rows:
    """Indices into ``rows``, sorted by which copy is kept; independent of the order of the documents."""
    # Held-out documents before those for training, then longer ones before shorter ones.
    sort_key = documents.is_evaluation[rows] * np.int64(-(2**32)) - documents.n_bytes[rows]
    return np.lexsort((documents.id_prefixes()[rows], sort_key))


def _candidates(bands: Bands, order: Rows, signatures_of: Callable[[Rows], Signatures], min_equal: float) -> Pairs:
    """Pairs (better, worse) that agree in a band and may be similar enough, int64 (n_pairs, 2), each once.

    Args:
        bands: hashes of each document's bands.
        order: indices of the documents in the bands, best first; pairs are indices into this order.
        signatures_of: returns the signatures of documents given by their indices in the order.
        min_equal: how many numbers have to be equal in the signatures of a pair.
    """
    found = [np.empty(0, np.int64)]
    for band in bands:
        for pairs in _pairs_that_agree(band[order]):
            members, indices = np.unique(pairs, return_inverse=True)
            signatures = signatures_of(members)
            first, second = indices.reshape(-1, 2).T
            n_equal = (signatures[first] == signatures[second]).sum(axis=1)
            better, worse = pairs[n_equal >= min_equal].T
            found.append(better * len(order) + worse)
    keys = np.unique(np.concatenate(found))
    return np.stack(np.divmod(keys, max(len(order), 1)), axis=1)


def _band_hashes(answers: Hashes, band: Signatures) -> npt.NDArray[np.uint32]:
    """A hash of each document's answer and band, uint32 (n_documents,)."""
    numbers = answers.copy()
    for column in band.T:
        numbers = (numbers + column) * MULTIPLIER
    return (numbers >> HIGH_BITS).astype(np.uint32)


def _pairs_that_agree(band: npt.NDArray[np.uint32]) -> Iterator[Pairs]:
    """Yield batches of pairs of documents with an equal band hash; not all pairs of a large bucket."""
    members = np.argsort(band, kind="stable")
    in_order = band[members]
    equals_previous = np.append(False, in_order[1:] == in_order[:-1])[: len(band)]
    is_in_bucket = equals_previous | np.roll(equals_previous, -1)
    members = members[is_in_bucket]
    starts = np.flatnonzero(~equals_previous[is_in_bucket])
    sizes = np.diff(starts, append=len(members))
    ends = starts + sizes
    index_in_bucket = np.arange(len(members)) - np.repeat(starts, sizes)
    n_after = np.repeat(ends, sizes) - 1 - np.arange(len(members))
    is_large = np.repeat(sizes > WHOLE_BUCKET, sizes)
    # Members of a small bucket and leaders of a large one are paired with all that follow, others with the next few.
    n_partners = np.where(is_large & (index_in_bucket >= LEADERS), np.minimum(n_after, LEADERS), n_after)
    for start, end in _batches(n_partners, PAIRS_AT_ONCE):
        own = n_partners[start:end]
        first = np.repeat(np.arange(start, end), own)
        step = np.arange(len(first)) - np.repeat(np.cumsum(own) - own, own) + 1
        yield np.stack((members[first], members[first + step]), axis=1)


def _common_shingles(documents: Documents, rows: Rows, texts_of: Callable[[Rows], list[str]], n_words: int) -> Hashes:
    """The shingles that many documents contain, sorted; estimated from a sample chosen by the documents' ids."""
    sample = rows[np.argsort(documents.id_prefixes()[rows], kind="stable")[:SAMPLED_DOCUMENTS]]
    limit = max(COMMON_RATIO * len(sample), MIN_COMMON_DOCUMENTS)
    sets = _sets(texts_of(sample), n_words)
    found, n_documents = np.unique(np.concatenate([NO_HASHES, *sets]), return_counts=True)
    common: Hashes = found[n_documents > limit]
    return common


def _similarities(
    pairs: Pairs,
    rows: Rows,
    n_bytes: npt.NDArray[np.int32],
    sets_of: Callable[[Rows], list[Hashes]],
) -> npt.NDArray[np.float64]:
    """The Jaccard similarity of each pair's sets of shingles, float64 (n_pairs,)."""
    similarities = np.empty(len(pairs))
    for start, end in _batches(n_bytes[pairs].sum(axis=1, dtype=np.int64), BYTES_AT_ONCE):
        members, indices = np.unique(pairs[start:end], return_inverse=True)
        similarities[start:end] = _jaccard(sets_of(rows[members]), indices.reshape(-1, 2))
    return similarities


def _sets(texts: Sequence[str], n_words: int) -> list[Hashes]:
    """The distinct shingles of each text, sorted."""
    parts = (shingles(words, n_words) for words in word_hashes(texts))
    return [np.unique(part.hashes[start:end]) for part in parts for start, end in pairwise(part.offsets)]


def _without_common(common: Hashes, hashes: Hashes, min_remaining: int) -> Hashes:
    """The shingles without the common ones; all of them if fewer than ``min_remaining`` would be left."""
    if not len(common):
        return hashes
    remaining: Hashes = np.setdiff1d(hashes, common, assume_unique=True)
    return remaining if len(remaining) >= min_remaining else hashes


def _jaccard(sets: Sequence[npt.NDArray[np.uint64]], pairs: Pairs) -> npt.NDArray[np.float64]:
    sizes = np.asarray([len(one) for one in sets])
    n_common = np.asarray(
        [len(np.intersect1d(sets[one], sets[other], assume_unique=True)) for one, other in pairs], np.int64
    )
    result: npt.NDArray[np.float64] = n_common / (sizes[pairs].sum(axis=1) - n_common)
    return result


def _greedy(pairs: Pairs, similarities: npt.NDArray[np.float64]) -> dict[int, tuple[int, float]]:
    """Decide from best to worst which documents are dropped: maps each to the kept document it is most similar to."""
    dropped: dict[int, tuple[int, float]] = {}
    for index in np.lexsort((pairs[:, 0], -similarities, pairs[:, 1])).tolist():
        better, worse = pairs[index].tolist()
        # Everything that is better than this document has been decided before it.
        if worse not in dropped and better not in dropped:
            dropped[worse] = (better, float(similarities[index]))
    return dropped


def _batches(sizes: npt.NDArray[np.integer], limit: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of consecutive ranges whose sizes add up to about ``limit``."""
    start, n_items = 0, len(sizes)
    sums = np.cumsum(sizes, dtype=np.int64)
    while start < n_items:
        before = int(sums[start - 1]) if start else 0
        end = max(int(np.searchsorted(sums, before + limit, side="right")), start + 1)
        yield start, end
        start = end
