"""Nested rows, such as questions about the paragraphs of an article."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmcore.text.documents.document import InputError

Row = Mapping[str, Any]


def inner_rows(row: Row, path: Sequence[str]) -> Iterator[Row | InputError]:
    """Yield the elements of the innermost lists at a path, each with the fields of the objects that contain it.

    ``paragraphs.qas`` gives a row for each question: it has the fields of the question, and those fields of its
    paragraph and article that have other names. The name of a list stands for the element that contains the row, so
    that ``paragraphs.id`` is the paragraph's id. An element that is not an object is a field with the list's name.

    Yields:
        Rows; an error if there is no such field (``missing_field``) or it is empty (``no_rows``).
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
        yield InputError("no_rows", f"field {name!r} has no rows")
    for element in elements:
        yield from inner_rows(with_parents(element, name, row), rest)


def with_parents(element: Any, name: str, parents: Row) -> Row:
    """An element of the list ``name`` as a row: the fields of its parents, and its own."""
    fields = element if isinstance(element, Mapping) else {}
    return {**parents, name: element, **fields}


def listed(row: Row) -> str:
    """The names of up to ten fields of a row, each shortened."""
    names = ", ".join(f"{name!a:.40}" for name in list(row)[:10])
    return f"{names}, …" if len(row) > 10 else names or "none"
