"""``sources.lock``: a snapshot of each source, which reveals changed data before it is used.

It is to data what a lock file is to packages: it holds the revision of a source that has one, and the size and SHA-256
of every file (for installed packages, of every package). It also holds the hashes of the files that stages are given by
name, such as an existing tokenizer: these lines of the lock file are how DVC notices that their content has changed.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lmcore.errors import UserError
from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import write_text
from lmcore.text.sources.snapshot import Snapshot

logger = logging.getLogger(__name__)

HOW_TO_RESTORE = "restore it with git, or run `python -m flows.refresh`, which keeps a copy and writes a new one"
HOW_TO_ACCEPT = "if this is intended, accept it with `python -m flows.refresh`"
SHOWN_CHANGES = 10


@dataclass(frozen=True, slots=True)
class NamedFile:
    """What a parameter names besides the sources.

    Attributes:
        parameter: the parameter's path in ``params.yaml``.
        name: a file, a folder, an installed package, or the address of a registered model.
        content: the SHA-256 of its content; of a package, its version.
        version: of a registered model, the version that its alias named.
    """

    parameter: str
    name: str
    content: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of a lock file: sources by their names, and named files by the stage that uses them."""

    sources: Mapping[str, Snapshot] = field(default_factory=dict)
    files: Mapping[str, Sequence[NamedFile]] = field(default_factory=dict)


def read_lock(path: Path) -> Lock:
    """Read a lock file; returns an empty lock if there is no such file.

    Raises:
        UserError: if the file is not a lock file.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Lock()
    try:
        stored = _StoredLock.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{path} {_problem(content, error)}: {HOW_TO_RESTORE}") from None
    files = {
        stage: [NamedFile(PARAMETERS_BEFORE[stage], entry.name, entry.content)]
        if isinstance(entry, _FileBefore)
        else entry or []
        for stage, entry in stored.files.items()
    }
    return Lock(stored.sources, files)


def set_aside_damaged_lock(path: Path, folder: Path) -> None:
    """Move a lock file that cannot be read to ``folder``, so that a new one can be written."""
    try:
        read_lock(path)
    except UserError as error:
        problem = str(error).removesuffix(f": {HOW_TO_RESTORE}")
        logger.warning("%s; moved to %s, and a new one is written", problem, set_aside(path, folder=folder))


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file atomically, one line for each file or package, so that its diff is readable."""
    sources = ",\n".join(f" {json.dumps(name)}: {_to_json(entry)}" for name, entry in lock.sources.items())
    files = ",\n".join(
        f" {json.dumps(stage)}: {json.dumps([_without_nulls(asdict(entry)) for entry in entries] or None)}"
        for stage, entries in lock.files.items()
    )
    write_text(path, f'{{"sources": {{\n{sources}\n}},\n"files": {{\n{files}\n}}}}\n')


def check_sources(locked: Mapping[str, Snapshot], found: Mapping[str, Snapshot]) -> None:
    """Check that sources hold what the lock file says.

    Raises:
        UserError: with every source and file that differs, and how to accept the change.
    """
    problems = []
    for source, now in found.items():
        if source not in locked:
            problems.append(f"source {source!r} is not in sources.lock")
            continue
        if changes := now.changes_since(locked[source]):
            more = f", and {len(changes) - SHOWN_CHANGES:,} more" if len(changes) > SHOWN_CHANGES else ""
            problems.append(f"source {source!r} differs from sources.lock: {'; '.join(changes[:SHOWN_CHANGES])}{more}")
    if problems:
        raise UserError("\n".join([*problems, HOW_TO_ACCEPT]))


class _FileBefore(BaseModel):
    """The form in older lock files of the only file that a parameter of a stage could name."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    content: str


PARAMETERS_BEFORE = {
    "clean": "clean.pipeline",
    "tokenize": "tokenize.tokenizer.path",
    "finetune": "finetune.classification.vectors",
}


class _StoredLock(BaseModel):
    """The lock file; the totals of files and bytes next to ``contents`` are for human readers and are not parsed."""

    model_config = ConfigDict(strict=True)

    sources: dict[str, Snapshot]
    files: dict[str, list[NamedFile] | _FileBefore | None] = {}
    """Missing in older lock files."""


def _problem(content: bytes, error: ValidationError) -> str:
    if not content.strip():
        return "is empty"
    if any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in content.splitlines()):
        return "contains the conflict markers of a merge"
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"]))
    return f"is damaged ({path + ': ' if path else ''}{first['msg']})"


def _without_nulls(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _to_json(entry: Snapshot) -> str:
    lines = (f"  {json.dumps(name)}: {json.dumps(asdict(content))}" for name, content in entry.contents.items())
    facts = {"revision": entry.revision, "n_files": entry.n_files, "n_bytes": entry.n_bytes}
    return json.dumps(facts)[:-1] + ', "contents": {\n' + ",\n".join(lines) + "\n }}"
