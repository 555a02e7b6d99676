"""``sources.lock``: what every source held when it was last looked at, so that another content is noticed.

What a lock file is to packages, this is to data: a revision where there is one, and of every file (of every package,
where a source is installed packages) its size and SHA-256. Beside the sources stand the files that stages are given by
name, such as a tokenizer made elsewhere: by these lines DVC knows that their content has changed.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmcore.errors import UserError
from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import write_text
from lmcore.text.sources.files import PinnedFile

logger = logging.getLogger(__name__)

HOW_TO_MEND = "restore it with git, or run `python -m flows.refresh`, which keeps a copy and pins the current sources"
HOW_TO_ACCEPT = "if that is what you want, accept it with `python -m flows.refresh`"
SHOWN_CHANGES = 10


@dataclass(frozen=True, slots=True)
class Content:
    """A file, or all files of a package: their number, size in bytes and SHA-256."""

    n_files: Annotated[int, Field(ge=0)]
    n_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Pin:
    """What a source held: its revision, if it has one, and its contents by the name of their file or package."""

    revision: str | None
    contents: Mapping[str, Content]

    @property
    def n_files(self) -> int:
        """How many files all contents are."""
        return sum(content.n_files for content in self.contents.values())

    @property
    def n_bytes(self) -> int:
        """How many bytes all contents are."""
        return sum(content.n_bytes for content in self.contents.values())


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file or folder by the name that it is given in ``params.yaml``, and its SHA-256; of a package its version."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Lock:
    """What is pinned: sources by their name, and files by the stage that is given them; ``None`` where it is not."""

    sources: Mapping[str, Pin] = field(default_factory=dict)
    files: Mapping[str, NamedFile | None] = field(default_factory=dict)


def pin(files: Sequence[PinnedFile], revision: str | None) -> Pin:
    """What a source holds, given its files."""
    parts: dict[str, list[PinnedFile]] = {}
    for entry in files:
        package = entry.file.package
        parts.setdefault(f"{package} {entry.file.version}" if package else entry.file.name, []).append(entry)
    return Pin(revision, {name: _content(some) for name, some in sorted(parts.items())})


def read_lock(path: Path) -> Lock:
    """What is pinned: nothing where there is no such file.

    Raises:
        UserError: if the file is not a lock file; the message says what to do.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Lock()
    try:
        written = _Written.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{path} {_problem(content, error)}: {HOW_TO_MEND}") from None
    return Lock(written.sources, written.files)


def mend_lock(path: Path, kept: Path) -> None:
    """Move a lock file that cannot be read to the folder ``kept``; everything is pinned anew then.

    Args:
        path: the lock file.
        kept: where a person finds the old one.
    """
    try:
        read_lock(path)
    except UserError as error:
        problem = str(error).removesuffix(f": {HOW_TO_MEND}")
        logger.warning("%s; it is now %s, and all sources are pinned again", problem, set_aside(path, folder=kept))


def write_lock(path: Path, lock: Lock) -> None:
    """Replace the lock file, one line for every content, so that its differences can be read."""
    sources = ",\n".join(f" {json.dumps(name)}: {_written(entry)}" for name, entry in lock.sources.items())
    files = ",\n".join(
        f" {json.dumps(stage)}: {json.dumps(entry and asdict(entry))}" for stage, entry in lock.files.items()
    )
    write_text(path, f'{{"sources": {{\n{sources}\n}},\n"files": {{\n{files}\n}}}}\n')


def differences(pinned: Pin, found: Pin) -> list[str]:
    """What is other than it was, in words: a line for each file or package."""
    changes = []
    if pinned.revision != found.revision:
        changes.append(f"revision {pinned.revision} is now {found.revision}")
    for name in sorted(pinned.contents.keys() | found.contents.keys()):
        before, now = pinned.contents.get(name), found.contents.get(name)
        if before is None and now is not None:
            changes.append(f"{name} is new ({now.n_bytes:,} bytes)")
        elif now is None and before is not None:
            changes.append(f"{name} is gone ({before.n_bytes:,} bytes)")
        elif before != now and before is not None and now is not None:
            sizes = f"{before.n_bytes:,} bytes, now {now.n_bytes:,}" if before.n_bytes != now.n_bytes else "same size"
            changes.append(f"{name} has changed ({sizes})")
    return changes


def check(pins: Mapping[str, Pin], found: Mapping[str, Pin]) -> None:
    """Make sure that sources hold what is pinned.

    Raises:
        UserError: naming every source and content that is another, and how to accept it.
    """
    problems = []
    for source, now in found.items():
        if source not in pins:
            problems.append(f"source {source!r} is not pinned in sources.lock")
            continue
        changes = differences(pins[source], now)
        if changes:
            more = f", and {len(changes) - SHOWN_CHANGES:,} more" if len(changes) > SHOWN_CHANGES else ""
            problems.append(
                f"source {source!r} is not what sources.lock pins: {'; '.join(changes[:SHOWN_CHANGES])}{more}"
            )
    if problems:
        raise UserError("\n".join([*problems, HOW_TO_ACCEPT]))


class _Written(BaseModel):
    """The file as it is written; numbers of files and bytes stand beside the contents for whoever reads it."""

    model_config = ConfigDict(strict=True)

    sources: dict[str, Pin]
    files: dict[str, NamedFile | None] = {}
    """Missing in files that are older."""


def _problem(content: bytes, error: ValidationError) -> str:
    if not content.strip():
        return "is empty"
    if any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in content.splitlines()):
        return "holds the conflict markers of a merge"
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"is damaged ({place + ': ' if place else ''}{first['msg']})"


def _content(files: Sequence[PinnedFile]) -> Content:
    if len(files) == 1 and files[0].file.package is None:
        return Content(1, files[0].file.size, files[0].sha256)
    digest = hashlib.sha256("".join(f"{entry.file.name}\0{entry.sha256}\n" for entry in files).encode()).hexdigest()
    return Content(len(files), sum(entry.file.size for entry in files), digest)


def _written(entry: Pin) -> str:
    lines = (f"  {json.dumps(name)}: {json.dumps(asdict(content))}" for name, content in entry.contents.items())
    facts = {"revision": entry.revision, "n_files": entry.n_files, "n_bytes": entry.n_bytes}
    return json.dumps(facts)[:-1] + ', "contents": {\n' + ",\n".join(lines) + "\n }}"
