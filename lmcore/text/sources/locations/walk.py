"""Walks the files below a folder and never leaves it, even if links form loops, lead outside or are broken."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

Parts = tuple[str, ...]
"""A path relative to a folder, part by part."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file.

    Attributes:
        parts: its path relative to the folder.
        path: the path under which it was found, which may lead through links.
        real_path: the path without links; files with the same real path are one file.
        size: in bytes.
    """

    parts: Parts
    path: Path
    real_path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that can be neither read nor entered: its path, whether it is (a link to) a folder, and why."""

    parts: Parts
    is_folder: bool
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Folder:
    parts: Parts
    real_path: Path
    above: tuple[Path, ...]
    """Real paths of the folders above: a link to one of them is a loop."""


def walk(root: Path, is_entered: Callable[[Parts], bool]) -> Iterator[Found | Obstacle]:
    """Yield the files below a folder and the obstacles, in an order that depends on names alone; skip hidden ones.

    A link is followed if its target is inside the folder. Each link to a folder is followed once, so that the walk
    ends soon, whatever the links point to.

    Args:
        root: the folder, which may itself be a link.
        is_entered: whether to enter a folder, given the parts of its path.
    """
    root = Path(os.path.realpath(root))
    followed: set[str] = set()
    waiting = [_Folder((), root, ())]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder.real_path), key=lambda entry: entry.name)
        except OSError as error:
            yield Obstacle(folder.parts, True, "unreadable_file", describe(error))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            found = _inspect(entry, folder, root)
            if not isinstance(found, _Folder):
                yield found
            elif is_entered(found.parts) and entry.path not in followed:
                if entry.is_symlink():
                    followed.add(entry.path)
                waiting.append(found)


def matches(parts: Parts, pattern: Parts) -> bool:
    """Whether a file's name matches a pattern, part by part; ``**`` matches any number of folders."""
    if not pattern or not parts:
        return not pattern and not parts
    if pattern[0] == "**":
        # A pattern that ends with ** matches every file below.
        return len(pattern) == 1 or any(matches(parts[start:], pattern[1:]) for start in range(len(parts)))
    return fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def is_within_match(parts: Parts, pattern: Parts) -> bool:
    """Whether a pattern matches a file or folder, or a folder above it."""
    return any(matches(parts[:depth], pattern) for depth in range(1, len(parts) + 1))


def may_contain_matches(parts: Parts, pattern: Parts) -> bool:
    """Whether files below a folder can match a pattern."""
    if not pattern:
        return False
    if not parts or pattern[0] == "**":
        return True
    return fnmatchcase(parts[0], pattern[0]) and may_contain_matches(parts[1:], pattern[1:])


def describe(error: OSError) -> str:
    """The error in words that are the same on every machine: without paths."""
    return error.strerror or type(error).__name__


def _inspect(entry: os.DirEntry[str], folder: _Folder, root: Path) -> Found | Obstacle | _Folder:
    parts = (*folder.parts, entry.name)
    try:
        real_path = Path(os.path.realpath(entry.path, strict=True) if entry.is_symlink() else entry.path)
        status = real_path.stat()
    except OSError as error:
        reason = "symlink_loop" if error.errno == errno.ELOOP else "unreadable_file"
        return Obstacle(parts, False, reason, describe(error))
    is_folder = stat.S_ISDIR(status.st_mode)
    if not real_path.is_relative_to(root):
        return Obstacle(parts, is_folder, "outside_folder", "the link points outside the source's folder")
    if is_folder:
        above = (*folder.above, folder.real_path)
        if real_path in above:
            return Obstacle(parts, True, "symlink_loop", "the link points to a folder that contains it")
        return _Folder(parts, real_path, above)
    if not stat.S_ISREG(status.st_mode):
        return Obstacle(parts, False, "not_a_file", "it is neither a file nor a folder")
    return Found(parts, Path(entry.path), real_path, status.st_size)
