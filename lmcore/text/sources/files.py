"""A file of a source: what it is called for everyone, and where it lies on this machine."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source.

    Attributes:
        name: relative to the source, with forward slashes: the same on every machine.
        path: where it lies on this machine.
        size: in bytes.
        package: the Python package that it belongs to, if any.
        version: of the package.
        license: of the package, an SPDX expression or a name.
    """

    name: str
    path: Path
    size: int
    package: str | None = None
    version: str | None = None
    license: str | None = None


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file and the SHA-256 of its content, in hexadecimal."""

    file: SourceFile
    sha256: str
