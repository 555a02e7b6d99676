"""A file of a source: its name, which is the same on every machine, and its path on this machine."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source.

    Attributes:
        name: relative to the source, with forward slashes; the same on every machine.
        path: where the file is on this machine.
        size: in bytes.
        package: the Python package that the file belongs to, if any.
        version: the version of the package.
        license: the license of the package, an SPDX expression or a name.
        n_above: the number of leading folders of ``name`` that are above the source's path. They distinguish files of
            equal names and are not used as labels.
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
        """The first folder below the source's path, if any: the label of a whole file."""
        return next(iter(PurePosixPath(self.name).parent.parts[self.n_above :]), None)


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file and the SHA-256 of its content in hexadecimal; empty if it cannot be read."""

    file: SourceFile
    sha256: str
