import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lmcore.evaluation.texts.extraction import extraction_metrics, parsed_items

REFERENCES = [
    json.dumps({"PER": ["Ada", "Ada", "Bob"], "LOC": ["Paris"]}),
    json.dumps({"LOC": ["Rome"]}),
    json.dumps({}),
    json.dumps({"PER": ["Eve"]}),
]
TEXTS = [
    json.dumps({"LOC": ["Paris"], "PER": ["Bob", "Ada", "Ada"]}),  # another order is the same
    json.dumps({"LOC": ["Rome", "Oslo"]}),
    "{}",
    '{"PER": ["Eve"',  # cut off
]


def values(texts: list[str], references: list[str]) -> dict[str, float]:
    return {name: metric.value for name, metric in extraction_metrics(texts, references).items()}


def test_items_are_counted_and_invalid_json_is_wrong() -> None:
    found = values(TEXTS, REFERENCES)
    # 5 right items, 6 found and 6 expected.
    assert found["extraction_f1"] == pytest.approx(10 / 12)
    assert found["extraction_f1_PER"] == pytest.approx(2 * 3 / (3 + 4))
    assert found["extraction_f1_LOC"] == pytest.approx(2 * 2 / (3 + 2))
    assert found["extraction_exact_match"] == 0.5
    assert found["valid_json"] == 0.75


def test_the_f1_of_distinct_items_is_that_of_scikit_learn() -> None:
    random, names = np.random.default_rng(0), [f"n{number}" for number in range(12)]
    actual, predicted = random.random((30, 12)) < 0.3, random.random((30, 12)) < 0.3

    def written(chosen: np.ndarray) -> list[str]:
        return [json.dumps({"X": [name for name, has in zip(names, row, strict=True) if has]}) for row in chosen]

    found = values(written(predicted), written(actual))
    assert found["extraction_f1"] == pytest.approx(f1_score(actual, predicted, average="micro"))
    assert found["extraction_f1_X"] == found["extraction_f1"]


def test_names_with_values_are_items_and_many_names_are_no_types() -> None:
    references = [json.dumps({f"a{number}": "int", f"b{number}": "str"}) for number in range(20)]
    texts = [json.dumps({f"a{number}": "int", f"b{number}": "float"}) for number in range(20)]
    found = values(texts, references)
    assert found["extraction_f1"] == 0.5
    assert set(found) == {"extraction_f1", "extraction_exact_match", "valid_json"}


def test_references_that_are_not_all_json_objects_have_no_such_metrics() -> None:
    assert extraction_metrics(["{}", "a"], ["{}", "a text"]) == {}
    assert extraction_metrics(["{}"], ["[1]"]) == {}


@pytest.mark.parametrize("text", ["", "[]", "1", '"a"', "{", "[" * 100_000])
def test_what_is_no_object_has_no_items(text: str) -> None:
    assert parsed_items(text) is None


def test_other_values_than_strings_are_items_in_json() -> None:
    assert set(parsed_items('{"a": [1, {"b": null}], "c": true}') or ()) == {
        ("a", "1"),
        ("a", '{"b": null}'),
        ("c", "true"),
    }
