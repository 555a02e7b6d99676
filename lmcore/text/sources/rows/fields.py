"""Values of a row by the name of a field, a path, or a template of several fields."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Self

from lmcore.config.base import Config
from lmcore.config.readers import EntitySpans, EntityTags, RecordFields
from lmcore.errors import UserError
from lmcore.text.documents.document import InputError
from lmcore.text.sources.rows.conversations import prompt_and_answer, turns_of
from lmcore.text.sources.rows.entities import entity_target
from lmcore.text.sources.rows.nested_rows import Row, listed
from lmcore.text.sources.rows.values import as_label, as_name, as_part, as_text

MISSING = object()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A field, or a template of several fields.

    Attributes:
        parts: constant text, each with the name of the field that follows it; None at the end of a template.
        name: the name of the field, or of the first field of a template.
        is_template: whether it is a template.
    """

    parts: tuple[tuple[str, str | None], ...]
    name: str
    is_template: bool

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Parse a template if the pattern contains braces (``{{`` for a literal brace), else the name of a field.

        Raises:
            UserError: if the braces do not match or contain no name.
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
        """The names of the fields."""
        return (name for _, name in self.parts if name is not None)

    def text(self, row: Row) -> str:
        """The text for a row (:func:`~lmcore.text.sources.rows.values.as_text`; in a template ``as_part``).

        Null and missing values in a template are empty; then white space around the whole text is removed.

        Raises:
            InputError: ``missing_field`` if no field exists, ``wrong_type`` or ``not_unicode``.
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
        """As :meth:`text`, also for numbers; None if the value is missing, null or blank.

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
        """The label of a row (:func:`~lmcore.text.sources.rows.values.as_label`); None if a part is missing.

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
        """The name of a row (:func:`~lmcore.text.sources.rows.values.as_name`).

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
        """The filled template, or None if none of its fields has a value."""
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
    """The fields of a row that become the fields of a document."""

    text: Pattern
    label: Pattern | None
    target: Pattern | EntityTags | EntitySpans | None
    name: Pattern | None

    @classmethod
    def parse(cls, reader: RecordFields, source: str) -> Self:
        """The fields configured in the reader of a source.

        Raises:
            UserError: if a template is wrong; the message names the source.
        """

        def parsed(pattern: str | None) -> Pattern | None:
            return None if pattern is None else Pattern.parse(pattern)

        try:
            text = Pattern.parse(reader.text)
            target = reader.target if isinstance(reader.target, Config) else parsed(reader.target)
            return cls(text, parsed(reader.label), target, parsed(reader.name))
        except ValueError as error:
            raise UserError(f"source {source!r}: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all fields, each once, in the order of the configuration."""
        patterns = (self.text, self.label, self.target, self.name)
        return tuple(dict.fromkeys(name for pattern in patterns for name in _names(pattern)))

    @property
    def optional_names(self) -> tuple[str, ...]:
        """The fields that a row need not have: all but the text, unless that is a template."""
        return tuple(name for name in self.names if self.text.is_template or name != self.text.name)

    def label_and_labels(self, row: Row) -> tuple[str | None, tuple[str, ...] | None]:
        """The label, or, if its field holds a list, None and the labels, each once and in their order.

        Raises:
            InputError: as :meth:`Pattern.label`.
        """
        if self.label is None:
            return None, None
        value = None if self.label.is_template else field_value(row, self.label.name)
        if not isinstance(value, list | tuple):
            return self.label.label(row), None
        found = [as_label(item, self.label.name) for item in value]
        return None, tuple(dict.fromkeys(label for label in found if label is not None))

    def text_and_target(self, row: Row) -> tuple[str, str | None]:
        """The text and the target; of a conversation that is both, everything before its last answer, and that answer.

        Raises:
            InputError: as :meth:`Pattern.text` and :meth:`Pattern.optional_text`.
        """
        if self.target is None:
            return self.text.text(row), None
        if not isinstance(self.target, Pattern):
            text = self.text.text(row)
            return text, entity_target(row, text, self.target)
        if self.target == self.text and not self.text.is_template:
            value = field_value(row, self.text.name)
            turns = turns_of(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
            if turns:
                return prompt_and_answer(turns)
        return self.text.text(row), self.target.optional_text(row)


def _names(pattern: Pattern | EntityTags | EntitySpans | None) -> tuple[str, ...]:
    """The fields of a row that a pattern reads."""
    match pattern:
        case None:
            return ()
        case Pattern():
            return tuple(pattern.names)
        case EntityTags():
            return (pattern.tokens, pattern.tags)
        case EntitySpans():
            return (pattern.entities,)


def field_value(row: Row, name: str) -> Any:
    """The value of a field, or at a path of names and list indices; :data:`MISSING` if there is none."""
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
