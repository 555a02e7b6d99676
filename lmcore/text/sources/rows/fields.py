"""What a row holds under a name, a path or a template of several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Self

from lmcore.config.collect import RecordFields
from lmcore.errors import UserError
from lmcore.text.documents.document import InputError
from lmcore.text.sources.rows.conversations import prompt_and_answer, turns_of
from lmcore.text.sources.rows.nested_rows import Row, listed
from lmcore.text.sources.rows.values import as_label, as_name, as_part, as_text

MISSING = object()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A field, or a template of several.

    Attributes:
        parts: constant text and the name of the field that follows it, or ``None`` at the end of the template.
        name: of the field, or of the first one of a template.
        is_template: whether it is one, or else a field as it is.
    """

    parts: tuple[tuple[str, str | None], ...]
    name: str
    is_template: bool

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """A template where the pattern holds braces (``{{`` for one that stays), else the name of a field.

        Raises:
            ValueError: if the braces do not match, or hold no name.
        """
        if not {"{", "}"} & set(pattern):
            return cls((("", pattern),), pattern, is_template=False)
        try:
            parts = list(Formatter().parse(pattern))
        except ValueError as error:
            raise UserError(f"the template {pattern!r} is wrong: {error}; double a literal brace") from error
        if any(name == "" or specification or conversion for _, name, specification, conversion in parts):
            raise UserError(f"the template {pattern!r} is wrong: braces may contain only the name of a field")
        names = [name for _, name, _, _ in parts if name]
        if not names:
            raise UserError(f"the template {pattern!r} names no field: every document would be the same")
        return cls(tuple((constant, name) for constant, name, _, _ in parts), names[0], is_template=True)

    @property
    def names(self) -> Iterator[str]:
        """Of the fields."""
        return (name for _, name in self.parts if name is not None)

    def text(self, row: Row) -> str:
        """What it gives for a row; see :func:`~lmcore.text.sources.rows.values.as_text`, in a template ``as_part``.

        What is null or missing in a template is left empty, with the white space around the whole.

        Raises:
            InputError: ``missing_field`` where no field is there, ``wrong_type`` or ``not_unicode``.
        """
        if self.is_template:
            filled = self._filled(row)
            if filled is None:
                raise InputError("missing_field", f"there is no field {self.name!r}; there are {listed(row)}")
            return filled
        value = field_value(row, self.name)
        if value is MISSING:
            raise InputError("missing_field", f"there is no field {self.name!r}; there are {listed(row)}")
        return as_text(value, self.name)

    def optional_text(self, row: Row) -> str | None:
        """As :meth:`text`, also of numbers; ``None`` where nothing is there, null or white space.

        Raises:
            InputError: ``wrong_type`` or ``not_unicode``.
        """
        if self.is_template:
            text = self._filled(row)
        else:
            value = field_value(row, self.name)
            text = None if value is MISSING or value is None else as_part(value, self.name)
        return text if text and not text.isspace() else None

    def label(self, row: Row) -> str | None:
        """A class; see :func:`~lmcore.text.sources.rows.values.as_label`. ``None`` where a part is missing.

        Raises:
            InputError: as ``as_label``.
        """
        if not self.is_template:
            value = field_value(row, self.name)
            return None if value is MISSING else as_label(value, self.name)
        parts = [(constant, name and self._label_part(row, name)) for constant, name in self.parts]
        if any(part is None and name for (_, part), (_, name) in zip(parts, self.parts, strict=True)):
            return None
        return as_label("".join(f"{constant}{part or ''}" for constant, part in parts), self.name)

    def word(self, row: Row) -> str | None:
        """A name; see :func:`~lmcore.text.sources.rows.values.as_name`.

        Raises:
            InputError: as ``as_name``.
        """
        if self.is_template:
            return as_name(self._filled(row), self.name)
        value = field_value(row, self.name)
        return None if value is MISSING else as_name(value, self.name)

    def _label_part(self, row: Row, name: str) -> str | None:
        value = field_value(row, name)
        return None if value is MISSING else as_label(value, name)

    def _filled(self, row: Row) -> str | None:
        """The template filled, or ``None`` where none of its fields is there."""
        filled: list[str] = []
        n_missing = n_fields = 0
        for constant, name in self.parts:
            filled.append(constant)
            if name is not None:
                value = field_value(row, name)
                is_missing = value is MISSING or value is None or value == ""
                n_fields, n_missing = n_fields + 1, n_missing + is_missing
                filled.append("" if is_missing else as_part(value, name))
        if n_missing == n_fields:
            return None
        return "".join(filled).strip() if n_missing else "".join(filled)


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
            raise UserError(f"source {source!r}: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Of all fields, each once, in the order in which they are named."""
        patterns = (self.text, self.label, self.target, self.name)
        return tuple(dict.fromkeys(name for pattern in patterns if pattern is not None for name in pattern.names))

    @property
    def optional_names(self) -> tuple[str, ...]:
        """Of those that a row need not have: all but the text, unless that is a template."""
        return tuple(name for name in self.names if self.text.is_template or name != self.text.name)

    def text_and_target(self, row: Row) -> tuple[str, str | None]:
        """The two texts; where both are the same conversation, all before its last answer and that answer.

        Raises:
            InputError: as :meth:`Pattern.text` and :meth:`Pattern.optional_text`.
        """
        if self.target is None:
            return self.text.text(row), None
        if self.target == self.text and not self.text.is_template:
            value = field_value(row, self.text.name)
            turns = turns_of(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
            if turns:
                return prompt_and_answer(turns)
        return self.text.text(row), self.target.optional_text(row)


def field_value(row: Row, name: str) -> Any:
    """What a row holds under a name, or where a path of names and places in lists leads; :data:`MISSING` if nothing."""
    if name in row:
        return row[name]
    value: Any = row
    for key in name.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.removeprefix("-").isdecimal() and -len(value) <= int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value
