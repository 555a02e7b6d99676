"""Reads a YAML file as plain values, within limits: files written by hand are small and hold text and numbers.

YAML itself allows more: a few lines whose references expand to billions of values, values that contain themselves,
dates, binary data, keys that are lists.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    NodeEvent,
    ScalarEvent,
)

from lmcore.errors import UserError

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
MAX_DEPTH = 50
MAX_INTEGER = 2**63 - 1  # the largest integer of NumPy, PyTorch and Arrow
CONFLICT_MARKERS = ("<<<<<<< ", ">>>>>>> ")
SHOWN_CHARACTERS = 80


def read_yaml(path: Path) -> Any:
    """The values of a file: objects, lists, strings, integers of 64 bits, other numbers, booleans and null.

    Raises:
        UserError: if the file contains anything else or is not valid YAML. The message continues the file's name.
        FileNotFoundError: if there is no such file.
    """
    text = _text(path)
    try:
        _check_size(text)
        # YAML 1.2, as DVC reads it: 3e-4 is a number and `off` is a string.
        values = YAML(typ="safe").load(text)
    except UserError:
        raise
    except YAMLError as error:
        raise UserError(f"is not valid YAML: {_reason(error)}") from None
    except ValueError as error:  # such as 2020-13-45, or a number of thousands of digits
        raise UserError(f"contains an invalid number or date: {error}") from None
    if problems := list(_problems(values, ())):
        raise UserError("\n  ".join(["has invalid values:", *problems]))
    return values


def shown(value: object) -> str:
    """A value as text for a message, truncated if it is long."""
    text = str(value) if isinstance(value, datetime.date) else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _text(path: Path) -> str:
    content = path.read_bytes()
    if len(content) > MAX_BYTES:
        raise UserError(f"has {len(content):,} bytes; the limit is {MAX_BYTES:,}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"is not UTF-8 text: byte 0x{content[error.start]:02x} at position {error.start:,}; save it as UTF-8"
        ) from None
    if any(line.startswith(CONFLICT_MARKERS) for line in text.splitlines()):
        raise UserError("contains merge conflict markers: keep one side of each conflict, and remove the markers")
    return text


def _check_size(text: str) -> None:
    """Refuse a text that expands to too many values, without expanding it."""
    total = 0
    starts: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    for event in YAML(typ="safe").parse(text):
        match event:
            case CollectionStartEvent():
                starts.append((event.anchor, total))
                total += 1
            case CollectionEndEvent():
                anchor, before = starts.pop()
                if anchor:
                    sizes[anchor] = total - before
            case AliasEvent():
                if any(anchor == event.anchor for anchor, _ in starts):
                    raise UserError(f"contains a value that contains itself: *{event.anchor}{_line(event)}")
                total += sizes.get(event.anchor, 1)
            case ScalarEvent():
                total += 1
        if len(starts) > MAX_DEPTH:
            raise UserError(f"has more than {MAX_DEPTH} levels{_line(event)}")
        if total > MAX_VALUES:
            raise UserError(f"has more than {MAX_VALUES:,} values, with references expanded{_line(event)}")


def _line(event: NodeEvent) -> str:
    return f" (line {event.start_mark.line + 1})"


def _reason(error: YAMLError) -> str:
    if not isinstance(error, MarkedYAMLError) or error.problem is None:
        return " ".join(str(error).split())
    problem = " ".join(error.problem.split())
    if "\\t" in problem or "cannot start any token" in problem:
        problem += "; indent with spaces instead of tabs, and quote text that starts with a special character"
    mark = error.problem_mark or error.context_mark
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _problems(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            if isinstance(key, str):
                yield from _problems(entry, (*path, key))
            else:
                yield f"{'.'.join(path) or 'the file'}: the key {shown(key)} is not a string; correct or quote it"
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _problems(entry, (*path, str(index)))
    elif problem := _problem(value):
        yield f"{'.'.join(path) or 'the file'} = {shown(value)}: {problem}"


def _problem(value: object) -> str | None:
    match value:
        case bool() | float() | None:
            return None
        case int():
            return None if abs(value) <= MAX_INTEGER else f"expected an integer of at most {MAX_INTEGER}"
        case str():
            return "contains a NUL character" if "\0" in value else None
        case datetime.date():
            return "YAML reads this as a date; write it in quotes"
        case _:
            return f"has type {type(value).__name__}; use text, numbers, lists or sections"
