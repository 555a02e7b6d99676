"""A file of a source: what it is called for everyone, and where it lies on this machine."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


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
        n_above: how many folders of the name lie above the source's path, and only tell it from other files.
    """

    name: str
    path: Path
    size: int
    package: str | None = None
    version: str | None = None
    license: str | None = None
    n_above: int = 0

    @property
    def folder(self) -> str | None:
        """The first folder that it lies in below the source's path, if any: its label as a whole file."""
        return next(iter(PurePosixPath(self.name).parent.parts[self.n_above :]), None)


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file and the SHA-256 of its content, in hexadecimal."""

    file: SourceFile
    sha256: str
