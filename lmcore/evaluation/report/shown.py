"""How numbers and settings are written."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lmcore.evaluation.result import Metric


def shown_value(value: float, metric: Metric) -> str:
    """A value of a metric as it is shown."""
    return percent(value) if metric.unit == "fraction" else fixed(value, metric.digits)


def fixed(value: float, digits: int) -> str:
    """A number with this many decimal places."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float) -> str:
    """A fraction in percent."""
    return f"{fixed(100 * value, 1)}\N{NARROW NO-BREAK SPACE}%"


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values, as JSON, of nested mappings."""
    if not isinstance(value, Mapping):
        yield path, json.dumps(value, ensure_ascii=False)
        return
    for key, nested in value.items():
        yield from flatten(nested, f"{path}.{key}" if path else str(key))
