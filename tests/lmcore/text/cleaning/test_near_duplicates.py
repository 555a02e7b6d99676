from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.config.clean import NearDuplicateConfig
from lmcore.text.cleaning.near_duplicates import near_duplicates, rows_per_band
from lmcore.text.cleaning.signatures import has_words, signatures
from lmcore.text.split import document_id
from lmcore.text.words.hashes import word_hashes
from tests.lmcore.text.cleaning_for_tests import documents_of

CONFIG = NearDuplicateConfig(similarity=0.8, shingle_words=3)


def drops(
    texts: Sequence[str], splits: Sequence[str] | None = None, answers: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    signed = signatures(list(word_hashes(texts)), CONFIG.shingle_words)
    documents = documents_of(texts, splits=splits, answers=answers)
    found = near_duplicates(
        documents, np.arange(len(texts)), signed.__getitem__, lambda rows: [texts[row] for row in rows], CONFIG
    )
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def shingle_set(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    runs = {tuple(words[start : start + 3]) for start in range(len(words) - 2)}
    return runs or {(word,) for word in words}


def jaccard(one: str, other: str) -> float:
    first, second = shingle_set(one), shingle_set(other)
    return len(first & second) / max(len(first | second), 1)


def edited(random: np.random.Generator, words: Sequence[str], n_edits: int) -> str:
    edited = list(words)
    for index in random.integers(len(edited), size=n_edits):
        edited[index] = f"edit{random.integers(10**6)}"
    return " ".join(edited)


def test_nearly_all_pairs_above_the_threshold_are_found_and_no_others() -> None:
    random = np.random.default_rng(3)
    texts, pairs = [], []
    for number in range(1_500):
        words = [f"w{word}" for word in random.integers(5_000, size=random.integers(30, 200))]
        texts += [" ".join(words), edited(random, words, random.integers(0, 1 + len(words) // 12))]
        pairs.append((2 * number, 2 * number + 1))
    found = {row["row"]: row for row in drops(texts)}
    is_near = np.asarray([jaccard(texts[one], texts[other]) >= CONFIG.similarity for one, other in pairs])
    is_found = np.asarray([one in found or other in found for one, other in pairs])
    assert 300 < is_near.sum() < 1_200
    assert (is_found & is_near).sum() / is_near.sum() >= 0.95
    assert not (is_found & ~is_near).any()
    by_id = {document_id(text): text for text in texts}
    for row in found.values():
        assert row["score"] == pytest.approx(jaccard(texts[row["row"]], by_id[row["detail"].removeprefix("near ")]))


short_texts = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9).map(" ".join), max_size=25, unique=True)


@settings(deadline=None)
@given(short_texts, st.data())
def test_what_goes_is_near_one_that_stays_and_is_no_better_and_order_does_not_matter(
    texts: list[str], data: st.DataObject
) -> None:
    found = drops(texts)
    gone = {texts[row["row"]] for row in found}
    by_id = {document_id(text): text for text in texts}
    for row in found:
        text, stays = texts[row["row"]], by_id[row["detail"].removeprefix("near ")]
        assert stays not in gone
        assert len(stays) >= len(text)
        assert jaccard(text, stays) == pytest.approx(row["score"])
        assert row["score"] >= CONFIG.similarity == row["threshold"]
    shuffled = data.draw(st.permutations(texts))
    assert {shuffled[row["row"]] for row in drops(shuffled)} == gone


def test_a_held_out_document_stays_before_a_longer_one_for_training() -> None:
    words = [f"w{number}" for number in range(100)]
    texts = [" ".join([*words, "more"]), " ".join(words)]
    assert [row["row"] for row in drops(texts)] == [1]
    assert [row["row"] for row in drops(texts, ["train", "test"])] == [0]


def test_thousands_of_copies_of_a_template_are_thinned_out_without_comparing_all() -> None:
    template = " ".join(f"w{number}" for number in range(150))
    texts = [f"{template} number{number}" for number in range(20_000)]
    assert len(drops(texts)) >= 19_900


def test_nearly_the_same_text_with_another_label_or_target_is_no_duplicate() -> None:
    words = [f"w{number}" for number in range(100)]
    texts = [" ".join([*words, f"end{number}"]) for number in range(4)]
    assert len(drops(texts)) == 3
    assert len(drops(texts, answers=[1, 2, 3, 4])) == 0
    assert len(drops(texts, answers=[1, 2, 1, 2])) == 2


@pytest.mark.parametrize(("n_own", "answer"), [(20, 0), (6, 0), (3, 1)])
def test_an_instruction_that_all_share_makes_no_duplicates_but_copies_after_it_do(n_own: int, answer: int) -> None:
    instruction = " ".join(f"please{number}" for number in range(200))
    own = [" ".join(f"own{number}x{word}" for word in range(n_own)) for number in range(40)]
    texts = [f"{instruction} {ending}" for ending in [*own, own[7] + " "]]
    assert [row["row"] for row in drops(texts, answers=[answer] * 41)] in ([7], [40])


def test_chinese_texts_are_compared_by_their_characters() -> None:
    text = "".join(chr(0x4E00 + number * 7) for number in range(200))
    assert [row["row"] for row in drops([f"{text}\u3002", text[:-1]])] == [1]
    assert drops([text, text[::-1]]) == []


def test_texts_without_a_word_are_like_no_other_and_stay() -> None:
    texts = ["...", "!!!", "", "a", "b"]
    assert has_words(signatures(list(word_hashes(texts)), 3)).tolist() == [False, False, False, True, True]
    assert drops(texts) == []


def test_a_signature_estimates_the_similarity() -> None:
    random = np.random.default_rng(5)
    words = [f"w{word}" for word in random.integers(10**6, size=400)]
    texts = [" ".join(words), edited(random, words, 15)]
    one, other = signatures(list(word_hashes(texts)), 3)
    assert (one == other).mean() == pytest.approx(jaccard(*texts), abs=0.25)


def test_a_signature_depends_on_the_words_alone() -> None:
    signature = signatures(list(word_hashes(["Hello"])), 3)
    assert signature.tolist() == signatures(list(word_hashes(["  hello, "])), 3).tolist()
    assert signature.shape == (1, 32)


@pytest.mark.parametrize(("similarity", "size"), [(0.5, 2), (0.8, 4), (0.95, 8)])
def test_bands_are_as_long_as_recall_allows(similarity: float, size: int) -> None:
    assert rows_per_band(similarity) == size
