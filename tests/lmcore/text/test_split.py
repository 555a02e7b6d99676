from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import kstest

from lmcore.config.tokenize import SplitFractions
from lmcore.text.split import document_id, group_by_split, split_of, uniform

FRACTIONS = SplitFractions(validation=0.1, test=0.2)
IDS = [document_id(f"document {number}") for number in range(10_000)]


def test_the_shares_are_those_asked_for() -> None:
    counts = Counter(split_of(identity, FRACTIONS) for identity in IDS)
    assert counts["validation"] / len(IDS) == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / len(IDS) == pytest.approx(0.2, abs=0.01)


def test_a_document_stays_in_its_split_for_ever() -> None:
    # Written down once: a change here would let held-out documents of old models into new training splits.
    splits = {text: split_of(document_id(text), FRACTIONS) for text in "abcdefghijklmnop"}
    assert [text for text, split in splits.items() if split == "test"] == ["e", "g", "i"]
    assert [text for text, split in splits.items() if split == "validation"] == ["l"]


@given(st.floats(0.01, 0.4), st.floats(0.01, 0.2), st.floats(0.01, 0.1))
def test_a_growing_test_split_keeps_its_documents(validation: float, test: float, more: float) -> None:
    small = SplitFractions(validation=validation, test=test)
    large = SplitFractions(validation=validation, test=test + more)
    for identity in IDS[:200]:
        if split_of(identity, small) == "test":
            assert split_of(identity, large) == "test"


def test_positions_are_uniform_and_independent_between_purposes() -> None:
    first = [uniform(identity, b"split") for identity in IDS]
    second = [uniform(identity, b"balance") for identity in IDS]
    assert kstest(first, "uniform").pvalue > 1e-3
    assert kstest([(a + b) % 1 for a, b in zip(first, second, strict=True)], "uniform").pvalue > 1e-3


def test_dividing_keeps_every_document_once_and_in_order() -> None:
    documents = pa.table({"id": IDS[:500], "split": pa.nulls(500, pa.string()), "row": range(500)})
    splits = group_by_split(documents, FRACTIONS)
    rows = {split: table["row"].to_pylist() for split, table in splits.items()}
    assert sorted(row for chosen in rows.values() for row in chosen) == list(range(500))
    assert all(chosen == sorted(chosen) for chosen in rows.values())
    assert all(split_of(identity, FRACTIONS) == "test" for identity in splits["test"]["id"].to_pylist())


def test_a_split_that_the_source_names_is_kept() -> None:
    given = [None, "test", "validation", "train"] * 100
    splits = group_by_split(pa.table({"id": IDS[:400], "split": given}), FRACTIONS)
    for name, table in splits.items():
        for identity, split in zip(table["id"].to_pylist(), table["split"].to_pylist(), strict=True):
            assert name == (split or split_of(identity, FRACTIONS))
    assert sum(map(len, splits.values())) == len(given)


def test_training_documents_must_be_left() -> None:
    with pytest.raises(ValidationError, match="no document would be left for training"):
        SplitFractions(validation=0.5, test=0.5)
