"""The documented parameters of a Python function: names and types, from docstrings in NumPy's or Google's style."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NUMPY_SECTION = re.compile(r"^Parameters\n-{3,}\n(?P<body>.*?)(?=^\S[^\n]*\n[-=]{3,}\n|\Z)", re.MULTILINE | re.DOTALL)
NUMPY_ENTRY = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*) ?: (?P<type>\S[^\n]*)$", re.MULTILINE)
GOOGLE_SECTION = re.compile(r"^Arg(?:ument)?s:\n(?P<body>(?:[ \t]+[^\n]*(?:\n|\Z)|\n)+)", re.MULTILINE)
GOOGLE_ENTRY = re.compile(r"^(?:    |\t)(?P<names>\*{0,2}\w+) \((?P<type>[^()\n]+)\):", re.MULTILINE)
EXTRAS = re.compile(r"(?:^|, *| +)\(?(?:optional|default|keyword-only)\b.*$")
"""What follows a type: ``, optional``, ``, default: 1``."""
LONGEST_TYPE = 60


@dataclass(frozen=True, slots=True)
class ParameterEntry:
    """What a docstring says about one parameter, or several with the same type.

    Attributes:
        text: the entry with its description.
        types: the type of each parameter by name, as written, without ``optional`` and defaults.
    """

    text: str
    types: dict[str, str]


@dataclass(frozen=True, slots=True)
class DocumentedParameters:
    """The section of a docstring that documents parameters.

    Attributes:
        section: its text, with its heading.
        heading: the lines above the first entry.
        entries: the entries of parameters with a type, in their order. Text between two of them, such as a parameter
            without a type, belongs to the first.
    """

    section: str
    heading: str
    entries: Sequence[ParameterEntry]

    @property
    def types(self) -> dict[str, str]:
        """The type of each parameter by name."""
        return _merged(self.entries)

    def runs(self, max_parameters: int) -> Iterator[tuple[str, dict[str, str]]]:
        """Each run of consecutive entries that has at most ``max_parameters`` parameters: its text, with the heading of
        the section, and its types."""
        for first in range(len(self.entries)):
            for end in range(first + 1, len(self.entries) + 1):
                run = self.entries[first:end]
                if len(types := _merged(run)) > max_parameters:
                    break
                yield (self.heading + "".join(entry.text for entry in run)).rstrip(), types


def documented_parameters(docstring: str) -> DocumentedParameters | None:
    """The parameters of a docstring that have a type; None if there are none, or if a name has two types.

    Types of more than :data:`LONGEST_TYPE` characters, or of several lines, are taken for prose and left out.
    """
    for section, entry in ((NUMPY_SECTION, NUMPY_ENTRY), (GOOGLE_SECTION, GOOGLE_ENTRY)):
        if (found := section.search(docstring)) is None:
            continue
        entries = list(_entries(found["body"], entry))
        n_parameters = sum(len(own.types) for own in entries)
        if n_parameters and len(_merged(entries)) == n_parameters:
            heading = docstring[found.start() : found.start("body")]
            return DocumentedParameters(found[0].rstrip(), heading, entries)
    return None


def _entries(body: str, pattern: re.Pattern[str]) -> Iterator[ParameterEntry]:
    """The entries of a section, each with the text up to the next one."""
    typed = [(found, kind) for found in pattern.finditer(body) if (kind := _bare_type(found["type"]))]
    ends = [*(found.start() for found, _ in typed), len(body)][1:]
    for (found, kind), end in zip(typed, ends, strict=True):
        yield ParameterEntry(body[found.start() : end], dict.fromkeys(found["names"].split(", "), kind))


def _bare_type(written: str) -> str:
    """A type without what follows it; empty if it is prose."""
    kind = EXTRAS.sub("", written).strip().strip(",")
    return kind if len(kind) <= LONGEST_TYPE else ""


def _merged(entries: Sequence[ParameterEntry]) -> dict[str, str]:
    return {name: kind for entry in entries for name, kind in entry.types.items()}
