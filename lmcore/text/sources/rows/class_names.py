"""Class names that a data set of the library ``datasets`` stores for the numbers in its columns."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from lmcore.text.documents.document import InputError
from lmcore.text.sources.rows.nested_rows import Row

Rows = Iterator[tuple[int, Row | InputError]]
METADATA = b"huggingface"


def with_class_names(rows: Rows, schema: pa.Schema) -> Rows:
    """Yield rows in which numbers of classes are replaced by their names; -1, no class, becomes None.

    Source: https://huggingface.co/docs/datasets/about_dataset_features (``ClassLabel``)
    """
    features = {name: feature for name, feature in _features(schema).items() if _has_classes(feature)}
    if not features:
        return rows
    return (
        (number, row if isinstance(row, InputError) else {**row, **_named_fields(features, row)})
        for number, row in rows
    )


def _features(schema: pa.Schema) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {}).get(METADATA, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _has_classes(feature: Any) -> bool:
    match feature:
        case {"_type": "ClassLabel", "names": [*_]}:
            return True
        case {"feature": inner}:
            return _has_classes(inner)
        case dict():
            return any(_has_classes(inner) for inner in feature.values())
        case [inner]:
            return _has_classes(inner)
    return False


def _named_fields(features: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _named(feature, row[name]) for name, feature in features.items() if name in row}


def _named(feature: Any, value: Any) -> Any:
    match feature, value:
        case {"_type": "ClassLabel", "names": [*names]}, int():
            return names[value] if 0 <= value < len(names) else None if value == -1 else value
        case {"feature": item}, list():
            return [_named(item, element) for element in value]
        case [item], list():
            return [_named(item, element) for element in value]
        case {"feature": dict(parts)}, dict():
            # A list of objects may be stored as an object of lists.
            return value | {name: _named([part], value[name]) for name, part in parts.items() if name in value}
        case dict(), dict():
            return value | _named_fields(feature, value)
    return value
