import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning import contamination
from lmcore.text.cleaning.contamination import overlaps, sampled_runs
from lmcore.text.words.hashes import word_hashes

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


def runs_of(text: str, n_words: int) -> list[tuple[str, ...]]:
    words_of_text = text.lower().split()
    return [tuple(words_of_text[start : start + n_words]) for start in range(len(words_of_text) - n_words + 1)]


@given(st.lists(words.map(" ".join), min_size=2, max_size=10), st.integers(1, 3))
def test_the_overlap_is_the_ratio_of_runs_that_evaluation_documents_have(texts: list[str], n_words: int) -> None:
    is_evaluation = np.arange(len(texts)) % 3 == 0
    half = len(texts) // 2
    shards = [
        sampled_runs(list(word_hashes(texts[part])), ~is_evaluation[part], n_words)
        for part in (slice(half), slice(half, None))
    ]
    divided = [np.split(chosen, [half]) for chosen in (is_evaluation, ~is_evaluation)]
    found = overlaps(lambda: iter(shards), *divided, None)
    held_out = set().union(*(set(runs_of(text, n_words)) for text in np.asarray(texts)[is_evaluation].tolist()))
    for text, share, is_held_out in zip(texts, found, is_evaluation, strict=True):
        own = [] if is_held_out else runs_of(text, n_words)
        assert share == pytest.approx(sum(run in held_out for run in own) / max(len(own), 1))


def test_long_documents_are_compared_by_a_sample_that_all_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    evaluation = " ".join(map(str, random.integers(10**6, size=4_000)))
    own = " ".join(map(str, random.integers(10**6, size=4_000)))
    texts = [evaluation, f"{evaluation} {own}", own]
    is_training = np.asarray([False, True, True])
    runs = sampled_runs(list(word_hashes(texts)), is_training, 13)
    assert 300 < np.count_nonzero(runs.owners == 2) < 700
    for most in (contamination.MAX_EVALUATION_RUNS, 500):
        monkeypatch.setattr(contamination, "MAX_EVALUATION_RUNS", most)
        shares = overlaps(lambda: iter([runs]), [~is_training], [is_training], 10)
        assert shares.tolist() == pytest.approx([0.0, 0.5, 0.0], abs=0.1)


def test_without_evaluation_documents_nothing_overlaps() -> None:
    runs = sampled_runs(list(word_hashes(["a b c"])), np.asarray([True]), 2)
    assert overlaps(lambda: iter([runs]), [np.asarray([False])], [np.asarray([True])], 10).tolist() == [0.0]
    empty = sampled_runs([], np.empty(0, bool), 2)
    assert overlaps(lambda: iter([empty]), [np.empty(0, bool)], [np.empty(0, bool)], 10).tolist() == []


def shares_with(texts: list[str], is_training: list[bool], common_documents: int | None) -> list[float]:
    """Overlaps of documents in two shards, by runs of 13 words."""
    chosen, half = np.asarray(is_training), len(texts) // 2
    shards = [
        sampled_runs(list(word_hashes(texts[part])), chosen[part], 13) for part in (slice(half), slice(half, None))
    ]
    divided = [np.split(flags, [half]) for flags in (~chosen, chosen)]
    return overlaps(lambda: iter(shards), *divided, common_documents).tolist()


@pytest.mark.parametrize("n_documents", [12, 300])
def test_an_instruction_that_many_documents_share_makes_none_of_them_contaminated(n_documents: int) -> None:
    instruction = " ".join(f"please{number}" for number in range(40))
    texts = [f"{instruction} {' '.join(f'own{number}x{word}' for word in range(15))}" for number in range(n_documents)]
    is_training = [number % 4 > 0 for number in range(n_documents)]
    # One of them repeats the part that a held-out document has for itself.
    texts[5] = texts[0]
    shares = shares_with(texts, is_training, 10)
    # Runs that begin in the instruction and end in that part are its own, too.
    assert shares[5] == 1.0
    assert sum(shares) == 1.0
    assert min(np.asarray(shares_with(texts, is_training, None))[is_training]) > 0.5


def test_what_a_few_documents_share_with_a_held_out_one_still_counts() -> None:
    passage = " ".join(f"told{number}" for number in range(30))
    texts = [
        passage,
        *(f"{passage} copy{number}" for number in range(5)),
        *(f"other {number}" for number in range(200)),
    ]
    shares = shares_with(texts, [False] + [True] * 205, 10)
    assert min(shares[1:6]) > 0.9
