import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning import contamination
from lmcore.text.cleaning.contamination import overlaps, sampled_runs
from lmcore.text.words.hashes import run_hashes, word_hashes

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


def runs_of(text: str, n_words: int) -> list[tuple[str, ...]]:
    some = text.lower().split()
    return [tuple(some[start : start + n_words]) for start in range(len(some) - n_words + 1)]


@given(st.lists(words.map(" ".join), min_size=1, max_size=8), st.integers(1, 4))
def test_hashes_of_runs_are_equal_where_the_runs_are(texts: list[str], n_words: int) -> None:
    (hashed,) = word_hashes(texts)
    runs, offsets = run_hashes(hashed, n_words)
    by_run: dict[tuple[str, ...], set[int]] = {}
    for text, start, end in zip(texts, offsets, offsets[1:], strict=False):
        some = text.split()
        assert end - start == max(len(some) - n_words + 1, 0)
        for place, value in enumerate(runs[start:end].tolist()):
            by_run.setdefault(tuple(some[place : place + n_words]), set()).add(value)
    values = [value for some_values in by_run.values() for value in some_values]
    assert len(values) == len(set(values)) == len(by_run)


@pytest.mark.parametrize(
    ("text", "n_words"),
    [
        ("Hello, world! hello \u201cquoted\u201d don't", 6),
        ("x1_y 3.14", 3),
        ("\u4e2d\u6587 text \u5b57", 4),
        ("\u3053\u3093abc", 3),
        ("\xc4\xd6 stra\xdfe \u043c\u0438\u0440", 3),
        ("\u0e20\u0e32\u0e29\u0e32 \u1797\u17b6", 6),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u00abici\u00bb\u2014l\u00e0", 3),
        ("\u4f60\uff0c\u597d\u3002", 2),
        ("", 0),
        ("...", 0),
        ("a\x00b", 2),
    ],
)
def test_words_are_runs_of_letters_and_chinese_characters_alone(text: str, n_words: int) -> None:
    assert sum(len(some.words) for some in word_hashes([text])) == n_words


SIGNS = ("IDEOGRAPHIC ITERATION", "IDEOGRAPHIC CLOSING", "IDEOGRAPHIC NUMBER")
UNSPACED = (
    "CJK UNIFIED",
    "CJK COMPATIBILITY",
    *SIGNS,
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "TIBETAN",
    "MYANMAR",
    "KHMER",
)
WRITTEN = st.characters(categories=["L", "M", "Nd", "P", "Zs"], max_codepoint=0xA000, exclude_characters="\u0130\u1e9e")


@given(st.text(WRITTEN))
def test_words_end_where_the_names_of_characters_say_so(text: str) -> None:
    marked = ""
    for character in text.lower():
        if unicodedata.category(character)[0] in "PZ" and unicodedata.category(character) != "Pc":
            marked += " "
        elif unicodedata.name(character, "").startswith(UNSPACED):
            marked += f" {character} "
        else:
            marked += character
    assert sum(len(some.words) for some in word_hashes([text])) == len(marked.split())


def test_words_are_the_same_in_any_case_and_any_company() -> None:
    alone = [some.words for some in word_hashes(["Berlin"])]
    (together,) = word_hashes(["x BERLIN y"])
    assert alone[0][0] == together.words[1]


@given(st.lists(words.map(" ".join), min_size=2, max_size=10), st.integers(1, 3))
def test_the_overlap_is_the_share_of_runs_that_evaluation_documents_have(texts: list[str], n_words: int) -> None:
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


def test_long_documents_are_judged_by_a_sample_that_all_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
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
    divided = [np.split(some, [half]) for some in (~chosen, chosen)]
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
