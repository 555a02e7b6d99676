"""What a source holds at one time, so that changes of its files are noticed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lmcore.text.sources.source_file import HashedFile


@dataclass(frozen=True, slots=True)
class Content:
    """One file, or all files of a package: their number, their size in bytes and their SHA-256 in hexadecimal."""

    n_files: Annotated[int, Field(ge=0)]
    n_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a source holds at one time.

    Attributes:
        revision: the commit of a data set of the hub; None for other sources.
        contents: by the name of a file, or by the name and version of a package.
    """

    revision: str | None
    contents: Mapping[str, Content]

    @property
    def n_files(self) -> int:
        """The number of files."""
        return sum(content.n_files for content in self.contents.values())

    @property
    def n_bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(content.n_bytes for content in self.contents.values())

    @classmethod
    def of(cls, files: Sequence[HashedFile], revision: str | None) -> "Snapshot":
        """The snapshot of a source that consists of these files."""
        groups: dict[str, list[HashedFile]] = {}
        for entry in files:
            package = entry.file.package
            groups.setdefault(f"{package} {entry.file.version}" if package else entry.file.name, []).append(entry)
        return cls(revision, {name: _content(group) for name, group in sorted(groups.items())})

    def changes_since(self, earlier: "Snapshot") -> list[str]:
        """Describe how this snapshot differs from an earlier one: a line for the revision, each file and package."""
        changes = []
        if earlier.revision != self.revision:
            changes.append(f"revision {earlier.revision} is now {self.revision}")
        for name in sorted(earlier.contents.keys() | self.contents.keys()):
            before, now = earlier.contents.get(name), self.contents.get(name)
            if before is None and now is not None:
                changes.append(f"{name} is new ({now.n_bytes:,} bytes)")
            elif now is None and before is not None:
                changes.append(f"{name} is gone ({before.n_bytes:,} bytes)")
            elif before != now and before is not None and now is not None:
                is_resized = before.n_bytes != now.n_bytes
                sizes = f"{before.n_bytes:,} bytes, now {now.n_bytes:,}" if is_resized else "same size"
                changes.append(f"{name} has changed ({sizes})")
        return changes


def _content(files: Sequence[HashedFile]) -> Content:
    if len(files) == 1 and files[0].file.package is None:
        return Content(1, files[0].file.size, files[0].sha256)
    digest = hashlib.sha256("".join(f"{entry.file.name}\0{entry.sha256}\n" for entry in files).encode()).hexdigest()
    return Content(len(files), sum(entry.file.size for entry in files), digest)
