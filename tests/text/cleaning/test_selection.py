from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning.selection import beyond_label_budget, exact_duplicates
from lmcore.text.split import document_id

texts = st.lists(st.text(alphabet="abé", max_size=4), max_size=30)


def numbered(some: list[str]) -> dict[int, str]:
    return {row: document_id(text) for row, text in enumerate(some)}


@given(texts)
def test_of_equal_texts_the_first_stays(some: list[str]) -> None:
    drops = exact_duplicates(numbered(some))
    kept = [text for row, text in enumerate(some) if row not in drops]
    assert kept == list(dict.fromkeys(some))
    assert all(drop.detail and document_id(some[row]) in drop.detail for row, drop in drops.items())


@given(texts.map(lambda some: list(dict.fromkeys(some))), st.integers(1, 20))
def test_no_label_exceeds_its_budget_and_none_stays_below_without_need(some: list[str], budget: int) -> None:
    labels = [text[:1] or None for text in some]
    rows = dict(enumerate(some))
    drops = beyond_label_budget(numbered(some), labels, rows, budget)
    for label in set(labels):
        sizes = {row: len(text.encode()) for row, text in rows.items() if labels[row] == label}
        kept = sum(size for row, size in sizes.items() if row not in drops)
        assert kept <= budget
        assert kept == sum(sizes.values()) or kept + max(sizes[row] for row in sizes if row in drops) > budget


@given(texts.map(lambda some: list(dict.fromkeys(some))), st.randoms())
def test_the_choice_does_not_depend_on_the_order(some: list[str], random: object) -> None:
    shuffled = sorted(some, key=lambda _: random.random())  # type: ignore[attr-defined]
    chosen = []
    for order in (some, shuffled):
        drops = beyond_label_budget(numbered(order), [None] * len(order), dict(enumerate(order)), 10)
        chosen.append({text for row, text in enumerate(order) if row not in drops})
    assert chosen[0] == chosen[1]


def test_without_a_budget_nothing_is_dropped() -> None:
    assert beyond_label_budget({0: "id"}, ["a"], {0: "text"}, None) == {}
