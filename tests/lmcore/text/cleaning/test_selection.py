from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning.selection import beyond_label_budget, exact_duplicates
from lmcore.text.split import document_id
from tests.lmcore.text.cleaning_for_tests import documents_of

texts = st.lists(st.text("ab", max_size=4), max_size=30)


def dropped(contents: Sequence[str], labels: Sequence[str | None], budget: int, **known: Any) -> set[int]:
    documents = documents_of(contents, labels=labels, **known)
    return set(beyond_label_budget(documents, np.arange(len(contents)), budget)["row"].to_pylist())


@given(st.lists(st.tuples(st.text("ab", max_size=3), st.sampled_from(["train", "validation", "test"])), max_size=30))
def test_of_equal_texts_the_first_stays_or_the_first_that_is_held_out(drawn: list[tuple[str, str]]) -> None:
    contents = [text for text, _ in drawn]
    drops = exact_duplicates(documents_of(contents, splits=[split for _, split in drawn])).to_pylist()
    kept = [row for row in range(len(drawn)) if row not in {drop["row"] for drop in drops}]
    expected: dict[str, int] = {}
    for row, (text, split) in enumerate(drawn):
        if text not in expected or (split != "train" and drawn[expected[text]][1] == "train"):
            expected[text] = row
    assert kept == sorted(expected.values())
    assert all(drop["detail"] == f"the text of {document_id(contents[drop['row']])}" for drop in drops)


def test_the_same_text_with_another_label_or_target_is_no_duplicate() -> None:
    documents = documents_of(["x", "x", "x", "y"], answers=[1, 2, 1, 1])
    assert exact_duplicates(documents)["row"].to_pylist() == [2]


@given(texts.map(lambda drawn: list(dict.fromkeys(drawn))), st.integers(1, 20))
def test_no_label_exceeds_its_budget_and_whatever_fits_stays(contents: list[str], budget: int) -> None:
    labels = [text[:1] or None for text in contents]
    drops = dropped(contents, labels, budget)
    for label in {label for label in labels if label is not None}:
        sizes = {row: len(text.encode()) for row, text in enumerate(contents) if labels[row] == label}
        kept = sum(size for row, size in sizes.items() if row not in drops)
        assert kept <= budget
        assert all(kept + size > budget for row, size in sizes.items() if row in drops)
    assert not any(labels[row] is None for row in drops)


def test_one_long_document_takes_nothing_along() -> None:
    contents = ["a" * 1_000, *(f"{number:010}" for number in range(40))]
    assert dropped(contents, ["x"] * 41, 400) == {0}
    # Nor does one that is too long for what is left.
    assert len(dropped(["b" * 300, "c" * 300, *contents[1:]], ["x"] * 42, 700)) == 1


def test_what_a_source_holds_out_is_never_cut_and_costs_no_training_document() -> None:
    contents = [f"{number:010}" for number in range(60)]
    splits = ["test", "validation", "train"] * 20
    drops = dropped(contents, ["x"] * 60, 100, splits=splits, given=[True] * 60)
    assert {splits[row] for row in drops} == {"train"}
    assert len(drops) == 10
    # Where a hash decides, held-out documents are a part of the label like all others.
    assert len(dropped(contents, ["x"] * 60, 100, splits=splits)) == 50


@given(texts.map(lambda drawn: list(dict.fromkeys(drawn))), st.randoms())
def test_the_choice_does_not_depend_on_the_order(contents: list[str], random: object) -> None:
    shuffled = sorted(contents, key=lambda _: random.random())  # type: ignore[attr-defined]
    chosen = []
    for order in (contents, shuffled):
        drops = dropped(order, ["x"] * len(order), 10)
        chosen.append({text for row, text in enumerate(order) if row not in drops})
    assert chosen[0] == chosen[1]


def test_what_was_dropped_before_takes_no_part() -> None:
    contents = ["aaaa", "bbbb", "cccc"]
    documents = documents_of(contents, labels=["x", "x", "x"])
    assert len(beyond_label_budget(documents, np.array([0, 2]), 8)) == 0
    (reason,) = beyond_label_budget(documents, np.array([0, 1, 2]), 8).to_pylist()
    assert (reason["rule"], reason["score"], reason["threshold"]) == ("beyond_label_budget", 12.0, 8.0)
