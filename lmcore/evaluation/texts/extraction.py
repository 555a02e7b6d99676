"""How well texts name what there is to extract, as JSON objects: entities by type, or values by name.

``{"PER": ["Ada", "Bob"], "LOC": []}`` has the items (PER, Ada) and (PER, Bob); ``{"axis": "int"}`` has (axis, int). The
order of items does not matter, their number does. A text that is not a JSON object has no items, and is counted.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lmcore.evaluation.intervals import Floats, ratio
from lmcore.evaluation.texts.statistics import MetricOfSums, ProportionOfTexts, TextMetric

MAX_TYPES = 20
"""With more types of items than this, they are names rather than classes, and have no F1 of their own."""
SIGNATURE = "JSON objects|items:(key, value)|order:no"

Items = Counter[tuple[str, str]]


def parsed_items(text: str) -> Items | None:
    """The items of a JSON object; None if the text is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Counter(_items(value)) if isinstance(value, dict) else None


def extraction_metrics(texts: Sequence[str], references: Sequence[str]) -> dict[str, TextMetric]:
    """``extraction_f1`` over all items, ``extraction_exact_match`` of all items of a text, ``valid_json``, and
    ``extraction_f1_TYPE`` for each of the types of items; nothing if not all references are JSON objects."""
    expected = [right for reference in references if (right := parsed_items(reference)) is not None]
    if len(expected) < len(references) or not references:
        return {}
    found = [parsed_items(text) for text in texts]
    items = [own or Counter() for own in found]
    metrics: dict[str, TextMetric] = {
        "extraction_f1": MetricOfSums(_statistics(items, expected), ratio, 1.0, f"{SIGNATURE}|micro F1"),
        "extraction_exact_match": ProportionOfTexts(
            np.array([own == right for own, right in zip(found, expected, strict=True)], bool), f"{SIGNATURE}|all items"
        ),
        "valid_json": ProportionOfTexts(np.array([own is not None for own in found], bool), SIGNATURE),
    }
    types = sorted({kind for counted in expected for kind, _ in counted})
    if len(types) <= MAX_TYPES:
        for kind in types:
            statistics = _statistics([_of_type(own, kind) for own in items], [_of_type(own, kind) for own in expected])
            metrics[f"extraction_f1_{kind}"] = MetricOfSums(statistics, ratio, 1.0, f"{SIGNATURE}|F1 of {kind}")
    return metrics


def _items(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, found in value.items():
        for item in found if isinstance(found, list) else [found]:
            yield key, item if isinstance(item, str) else json.dumps(item, sort_keys=True)


def _of_type(items: Items, kind: str) -> Items:
    return Counter({item: count for item, count in items.items() if item[0] == kind})


def _statistics(found: Sequence[Items], expected: Sequence[Items]) -> Floats:
    """Twice the correct items, and the found plus the expected ones; their ratio is F1: (n_texts, 2)."""
    return np.array(
        [
            (2.0 * (own & right).total(), float(own.total() + right.total()))
            for own, right in zip(found, expected, strict=True)
        ]
    )
