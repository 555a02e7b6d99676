"""Nested rows: questions on the paragraphs of an article."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmcore.text.documents.document import InputError

Row = Mapping[str, Any]


def inner_rows(row: Row, path: Sequence[str]) -> Iterator[Row | InputError]:
    """Yield what the lists of a path hold, each innermost element with the fields of all it lies in.

    ``paragraphs.qas`` gives a row for each question: it has the fields of the question, and those of the paragraph
    and the article that have other names. Under the name of a list it has the element that it lies in, so that
    ``paragraphs.id`` is that of the paragraph. An element that is no object is all of the row, under the list's name.

    Yields:
        Rows; an error where there is no such field (``missing_field``), or nothing in it (``no_rows``).
    """
    if not path:
        yield row
        return
    name, *rest = path
    if name not in row:
        yield InputError("missing_field", f"there is no field {name!r} with rows; the fields are {listed(row)}")
        return
    value = row[name]
    elements = value if isinstance(value, list) else [] if value is None else [value]
    if not elements:
        yield InputError("no_rows", f"field {name!r} holds no rows")
    for element in elements:
        yield from inner_rows(with_parents(element, name, row), rest)


def with_parents(element: Any, name: str, parents: Row) -> Row:
    """An element of the list of that name as a row: its fields, and before them those of what it lies in."""
    fields = element if isinstance(element, Mapping) else {}
    return {**parents, name: element, **fields}


def listed(row: Row) -> str:
    """Some names of a row; they may be anything, in any number."""
    names = ", ".join(f"{name!a:.40}" for name in list(row)[:10])
    return f"{names}, …" if len(row) > 10 else names or "none"
