"""The documented parameters of a Python function: names and types, from docstrings in NumPy's or Google's style."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NUMPY_SECTION = re.compile(r"^Parameters\n-{3,}\n(?P<body>.*?)(?=^\S[^\n]*\n[-=]{3,}\n|\Z)", re.MULTILINE | re.DOTALL)
NUMPY_ENTRY = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*) ?: (?P<type>\S[^\n]*)$", re.MULTILINE)
GOOGLE_SECTION = re.compile(r"^Arg(?:ument)?s:\n(?P<body>(?:[ \t]+[^\n]*(?:\n|\Z)|\n)+)", re.MULTILINE)
GOOGLE_ENTRY = re.compile(r"^(?:    |\t)(?P<names>\*{0,2}\w+) \((?P<type>[^()\n]+)\):", re.MULTILINE)
EXTRAS = re.compile(r"(?:^|, *| +)\(?(?:optional|default|keyword-only)\b.*$")
"""What follows a type: ``, optional``, ``, default: 1``."""
LONGEST_TYPE = 60


@dataclass(frozen=True, slots=True)
class DocumentedParameters:
    """The section of a docstring that documents parameters.

    Attributes:
        section: its text, with its heading.
        types: the type of each parameter by name, as written, without ``optional`` and defaults.
    """

    section: str
    types: dict[str, str]


def documented_parameters(docstring: str) -> DocumentedParameters | None:
    """The parameters of a docstring that have a type; None if there are none, or a name has two types.

    Types of more than :data:`LONGEST_TYPE` characters, or several lines, are prose and left out.
    """
    for section, entry in ((NUMPY_SECTION, NUMPY_ENTRY), (GOOGLE_SECTION, GOOGLE_ENTRY)):
        found = section.search(docstring)
        if found is None:
            continue
        pairs = list(_typed(found["body"], entry))
        types = dict(pairs)
        if types and len(types) == len(pairs):
            return DocumentedParameters(found[0].rstrip(), types)
    return None


def _typed(body: str, entry: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for found in entry.finditer(body):
        kind = EXTRAS.sub("", found["type"]).strip().strip(",")
        if 0 < len(kind) <= LONGEST_TYPE:
            yield from ((name, kind) for name in found["names"].split(", "))
