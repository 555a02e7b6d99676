"""Selects the members of an archive to read, with safe names, each name once, and the folders that label them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lmcore.text.documents.document import InputError, is_unicode

LEADS_OUTSIDE = re.compile(r"^([/\\]|[A-Za-z]:[/\\])|(^|[/\\])\.\.([/\\]|$)")
RESOURCES = "__MACOSX"
"""The folder in which macOS stores metadata of files."""
MAX_MEMBERS = 1_000_000
"""The largest number of members of an archive, so that their names do not fill the memory."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive, with forward slashes.
        header: the position of its header in the archive, in bytes.
        problem: why it cannot be read, as far as its header tells; None if it can.
    """

    name: str
    header: int
    problem: InputError | None


@dataclass(frozen=True, slots=True)
class ChosenMember:
    """A member, its printable name, the folder that labels it, and why it cannot be read (None if it can)."""

    member: Member
    name: str
    folder: str | None
    problem: InputError | None


def chosen_members(members: Sequence[Member]) -> Iterator[ChosenMember]:
    """Yield the members sorted by name, without hidden ones; those that cannot be read have a problem.

    Of members with the same name the last one counts, as when an archive is unpacked. The label of a member is its
    first folder; if all members are in one folder that contains several folders, its first folder below that one.
    """
    named = sorted(
        ((_normalized(member.name), member) for member in members), key=lambda pair: (pair[0], pair[1].header)
    )
    shown = [(name, member) for name, member in named if not _is_hidden(name)]
    n_above = _n_shared_folders([name for name, _ in shown])
    for number, (name, member) in enumerate(shown):
        is_replaced = number + 1 < len(shown) and shown[number + 1][0] == name
        folder = next(iter(PurePosixPath(name).parent.parts[n_above:]), None)
        yield ChosenMember(member, _printable(name), folder, _problem(name, is_replaced) or member.problem)


def _problem(name: str, is_replaced: bool) -> InputError | None:
    if LEADS_OUTSIDE.search(name):
        return InputError("outside_folder", "its name points outside the archive's folder")
    if not is_unicode(name):
        return InputError("not_unicode", "the file's name is not UTF-8: rename it, and create the archive again")
    if is_replaced:
        return InputError("replaced", "a later file with this name in the archive is read instead")
    return None


def _normalized(name: str) -> str:
    return name.removeprefix("./")


def _is_hidden(name: str) -> bool:
    """Whether a member is hidden; names that point outside the archive are not, so that they are reported."""
    parts = PurePosixPath(name).parts
    return any(part == RESOURCES or (part.startswith(".") and part != "..") for part in parts)


def _n_shared_folders(names: Sequence[str]) -> int:
    """The number of leading folders that all files share, if there are several folders below; they are not labels."""
    folders = {PurePosixPath(name).parent.parts for name in names}
    n_common = 0
    while all(len(parts) > n_common for parts in folders) and len({parts[n_common] for parts in folders}) == 1:
        n_common += 1
    return n_common if len({parts[n_common : n_common + 1] for parts in folders} - {()}) > 1 else 0


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
