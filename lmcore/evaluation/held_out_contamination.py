"""Which held-out documents share text with the training split.

Cleaning drops training documents most of which stands in held-out ones; what the two still share (a paragraph, a
license, a table of parameters) makes a model look better than it is on new text. So every figure is also found on the
held-out documents that share no run of words with the training split, as the authors of GPT-3 did (Brown et al. 2020,
https://arxiv.org/abs/2005.14165, appendix C).

A held-out document with fewer words than a run is compared as a whole. Runs that stand in many held-out documents are
the corpus's own form, a prompt's template for example, and do not count.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.text.words.hashes import Hashes, run_hashes, word_hashes

TEMPLATE_SHARE = 0.1
"""A run in more than this share of the held-out documents is a template."""
MOST_OF_FEW = 9
"""Where held-out documents are few, a run in more of them than this, or in more than half of them, is a template."""
CLEAN = "_clean"
"""Ends the names of figures on documents that share nothing."""

Texts = Iterable[Sequence[str]]
"""Texts, some at a time."""
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Contamination:
    """What each held-out document shares with the training split.

    Attributes:
        n_words: of each document, int64 (n_documents,).
        shared: the share of them that stand in a run of the training split, float64 (n_documents,).
    """

    n_words: npt.NDArray[np.int64]
    shared: npt.NDArray[np.float64]

    @property
    def is_clean(self) -> Flags:
        """Which documents share nothing, bool (n_documents,)."""
        return np.asarray(self.shared == 0.0)


def find_contamination(
    held_out: Callable[[], Texts], training: Callable[[], Texts], *, ngram_words: int
) -> Contamination:
    """Look for the words of held-out texts in training texts.

    Only hashes of the held-out texts' runs are kept in memory, 8 bytes per word; training texts pass by.

    Args:
        held_out: gives the texts; called twice.
        training: likewise; called once.
        ngram_words: how many words in a row make a run.
    """
    known = _runs_to_look_for(held_out(), ngram_words)
    is_found = np.zeros(len(known), bool)
    for texts in training():
        for runs in _runs(texts, ngram_words):
            places, stands = _look_up(known, np.sort(runs.hashes))  # in order, a search is several times faster
            is_found[places[stands]] = True
    found = known[is_found]
    sizes, shares = [], []
    for texts in held_out():
        for runs in _runs(texts, ngram_words):
            sizes.append(runs.n_words)
            shares.append(runs.covered(_look_up(found, runs.hashes)[1]))
    return Contamination(np.concatenate([np.empty(0, np.int64), *sizes]), np.concatenate([np.empty(0), *shares]))


def on_all_and_clean(is_clean: Flags, measure: Callable[[Rows], dict[str, Any]]) -> dict[str, Any]:
    """Figures on all documents, and beside each, under its name and ``_clean``, that on the clean ones, if there are
    any.

    Args:
        is_clean: bool (n_documents,).
        measure: nested figures from the numbers of the documents they are to be found on.
    """
    figures = measure(np.arange(len(is_clean)))
    if not is_clean.any():
        return figures
    return _side_by_side(figures, figures if is_clean.all() else measure(np.flatnonzero(is_clean)))


def _side_by_side(figures: Mapping[str, Any], clean: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, figure in figures.items():
        if isinstance(figure, Mapping) and "value" not in figure:
            merged[name] = _side_by_side(figure, clean[name])
        else:
            merged |= {name: figure, f"{name}{CLEAN}": clean[name]}
    return merged


@dataclass(frozen=True)
class _Runs:
    """The runs of some texts: their hashes, where those of each text begin, and how long they are.

    Attributes:
        hashes: uint64 (n_runs,).
        starts: int64 (n_texts + 1,).
        n_words: of each text, int64 (n_texts,).
        run_words: in a run of each text, int64 (n_texts,): all, in a text with fewer than others have.
    """

    hashes: Hashes
    starts: npt.NDArray[np.int64]
    n_words: npt.NDArray[np.int64]
    run_words: npt.NDArray[np.int64]

    def covered(self, is_found: Flags) -> npt.NDArray[np.float64]:
        """The share of each text's words that stand in a run that was found (n_texts,)."""
        shares = np.zeros(len(self.n_words))
        for text, (start, end) in enumerate(pairwise(self.starts)):
            own = is_found[start:end]
            if own.any():
                n_words, length = int(self.n_words[text]), int(self.run_words[text])
                begun = np.concatenate(([0], np.cumsum(own)))
                places = np.arange(n_words)
                # Of the runs that reach over a word, the first and the last.
                first, last = np.maximum(places - length + 1, 0), np.minimum(places, len(own) - 1)
                shares[text] = np.count_nonzero(begun[last + 1] > begun[first]) / n_words
        return shares


def _look_up(known: Hashes, asked: Hashes) -> tuple[npt.NDArray[np.int64], Flags]:
    """Where hashes stand among known ones, which are in order, and whether they do."""
    places = np.searchsorted(known, asked)
    stands = places < len(known)
    stands[stands] = known[places[stands]] == asked[stands]
    return places, stands


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


def _runs_to_look_for(held_out: Texts, ngram_words: int) -> Hashes:
    """All runs of held-out texts without those of templates, in order, uint64 (n_runs,)."""
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
    few = min(MOST_OF_FEW, max(n_texts / 2, 1))
    return np.asarray(known[counts <= max(TEMPLATE_SHARE * n_texts, few)])
