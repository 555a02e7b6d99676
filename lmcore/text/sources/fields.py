"""What a row holds under a name, a path or a template of several."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from string import Formatter
from typing import Any, Self

from lmcore.text.documents import InputError, is_unicode
from lmcore.text.sources.config import RecordFields

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A field, or a template of several.

    Attributes:
        parts: constant text and the name of the field that follows it, or ``None`` at the end of the template.
        is_template: whether it is one, or else a field as it is.
    """

    parts: tuple[tuple[str, str | None], ...]
    is_template: bool

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """A template where the pattern holds braces (``{{`` for one that stays), else the name of a field.

        Raises:
            ValueError: if the braces do not match, or hold no name.
        """
        if not {"{", "}"} & set(pattern):
            return cls((("", pattern),), is_template=False)
        try:
            parts = list(Formatter().parse(pattern))
        except ValueError as error:
            raise ValueError(f"the template {pattern!r} is wrong: {error}; a brace that stays is doubled") from error
        if any(name == "" or specification or conversion for _, name, specification, conversion in parts):
            raise ValueError(f"the template {pattern!r} is wrong: between braces stands the name of a field, no more")
        if not any(name for _, name, _, _ in parts):
            raise ValueError(f"the template {pattern!r} names no field: every document would be the same")
        return cls(tuple((constant, name) for constant, name, _, _ in parts), is_template=True)

    @property
    def names(self) -> Iterator[str]:
        """Of the fields."""
        return (name for _, name in self.parts if name is not None)

    def text(self, row: Row) -> str:
        """What it gives for a row: a string as it is; in a template, a number or a truth value in JSON's form.

        Raises:
            InputError: ``missing_field`` or ``wrong_type``.
        """
        if self.is_template:
            return self._filled(row)
        name = self.parts[0][1]
        value = _value(row, name or "")
        if not isinstance(value, str):
            raise InputError("wrong_type", f"field {name!r} holds {_kind(value)}, not a string")
        return value

    def word(self, row: Row) -> str | None:
        """A label or a name: a string, a number or a truth value in JSON's form; ``None`` for null or nothing.

        Raises:
            InputError: ``missing_field``, ``wrong_type``, or ``not_unicode`` for half a character.
        """
        if self.is_template:
            word: str | None = self._filled(row)
        else:
            name = self.parts[0][1] or ""
            value = _value(row, name)
            word = None if value is None else _plain(value, name)
        if word and not is_unicode(word):
            raise InputError("not_unicode", f"{word!a} holds half a character: a lone surrogate")
        return word or None

    def _filled(self, row: Row) -> str:
        filled = []
        for constant, name in self.parts:
            filled.append(constant)
            if name is not None:
                filled.append(_plain(_value(row, name), name))
        return "".join(filled)


@dataclass(frozen=True, slots=True)
class Fields:
    """What of a row becomes what of a document."""

    text: Pattern
    label: Pattern | None
    target: Pattern | None
    name: Pattern | None

    @classmethod
    def parse(cls, reader: RecordFields, source: str) -> Self:
        """The fields that the reader of a source names.

        Raises:
            ValueError: for a template that is wrong, naming the source.
        """

        def parsed(pattern: str | None) -> Pattern | None:
            return None if pattern is None else Pattern.parse(pattern)

        try:
            text = Pattern.parse(reader.text)
            return cls(text, parsed(reader.label), parsed(reader.target), parsed(reader.name))
        except ValueError as error:
            raise ValueError(f"source {source!r}: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Of all fields, each once, in the order in which they are named."""
        patterns = (self.text, self.label, self.target, self.name)
        return tuple(dict.fromkeys(name for pattern in patterns if pattern is not None for name in pattern.names))


def _value(row: Row, name: str) -> Any:
    """The value under a name as it is, else behind a path of names within objects and of places in lists, from 0."""
    if name in row:
        return row[name]
    value: Any = row
    for key in name.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise InputError("missing_field", f"there is no field {name!r}; there are {_listed(row)}")
    return value


def _plain(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return str(value)
    raise InputError("wrong_type", f"field {name!r} holds {_kind(value)}, neither a string nor a number")


def _kind(value: Any) -> str:
    return "null" if value is None else f"a value of type {type(value).__name__}"


def _listed(row: Row) -> str:
    """Some names of a row; they may be anything, in any number."""
    names = ", ".join(f"{name!a:.40}" for name in list(row)[:10])
    return f"{names}, …" if len(row) > 10 else names or "none"
