from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning.selection import beyond_label_budget, exact_duplicates
from lmcore.text.split import document_id
from tests.text.cleaning_for_tests import documents_of

texts = st.lists(st.text("ab", max_size=4), max_size=30)


def dropped(some: Sequence[str], labels: Sequence[str | None], budget: int) -> set[int]:
    return set(beyond_label_budget(documents_of(some, labels=labels), np.arange(len(some)), budget)["row"].to_pylist())


@given(st.lists(st.tuples(st.text("ab", max_size=3), st.sampled_from(["train", "validation", "test"])), max_size=30))
def test_of_equal_texts_the_first_stays_or_the_first_that_is_held_out(some: list[tuple[str, str]]) -> None:
    contents = [text for text, _ in some]
    drops = exact_duplicates(documents_of(contents, splits=[split for _, split in some])).to_pylist()
    kept = [row for row in range(len(some)) if row not in {drop["row"] for drop in drops}]
    expected: dict[str, int] = {}
    for row, (text, split) in enumerate(some):
        if text not in expected or (split != "train" and some[expected[text]][1] == "train"):
            expected[text] = row
    assert kept == sorted(expected.values())
    assert all(drop["detail"] == f"the text of {document_id(contents[drop['row']])}" for drop in drops)


@given(texts.map(lambda some: list(dict.fromkeys(some))), st.integers(1, 20))
def test_no_label_exceeds_its_budget_and_none_stays_below_without_need(some: list[str], budget: int) -> None:
    labels = [text[:1] or None for text in some]
    drops = dropped(some, labels, budget)
    for label in set(labels):
        sizes = {row: len(text.encode()) for row, text in enumerate(some) if labels[row] == label}
        kept = sum(size for row, size in sizes.items() if row not in drops)
        assert kept <= budget
        assert kept == sum(sizes.values()) or kept + max(sizes[row] for row in sizes if row in drops) > budget


@given(texts.map(lambda some: list(dict.fromkeys(some))), st.randoms())
def test_the_choice_does_not_depend_on_the_order(some: list[str], random: object) -> None:
    shuffled = sorted(some, key=lambda _: random.random())  # type: ignore[attr-defined]
    chosen = []
    for order in (some, shuffled):
        drops = dropped(order, [None] * len(order), 10)
        chosen.append({text for row, text in enumerate(order) if row not in drops})
    assert chosen[0] == chosen[1]


def test_what_was_dropped_before_takes_no_part() -> None:
    some = ["aaaa", "bbbb", "cccc"]
    documents = documents_of(some, labels=["x", "x", "x"])
    assert len(beyond_label_budget(documents, np.array([0, 2]), 8)) == 0
    (reason,) = beyond_label_budget(documents, np.array([0, 1, 2]), 8).to_pylist()
    assert (reason["rule"], reason["score"], reason["threshold"]) == ("beyond_label_budget", 12.0, 8.0)
