"""Which files of an archive are read, under safe names and each once, and the folders that label them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lmcore.text.documents.document import InputError, is_unicode

LEADS_OUTSIDE = re.compile(r"^([/\\]|[A-Za-z]:[/\\])|(^|[/\\])\.\.([/\\]|$)")
RESOURCES = "__MACOSX"
"""The folder in which macOS packs what its files have beside their content."""
MAX_MEMBERS = 1_000_000
"""Of one archive, so that their names do not fill the memory."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: with forward slashes, as the archive has it.
        header: where its header begins in the archive.
        problem: why it cannot be read, as far as its header tells, if so.
    """

    name: str
    header: int
    problem: InputError | None


@dataclass(frozen=True, slots=True)
class ChosenMember:
    """A member, its name below the archive's top folder, what is wrong with it, and the folder that labels it."""

    member: Member
    name: str
    folder: str | None
    problem: InputError | None


def chosen_members(members: Sequence[Member]) -> Iterator[ChosenMember]:
    """Members sorted by name, without hidden ones; those that cannot be read have a problem.

    Of members with one name the last counts, as it does when an archive is unpacked. What labels a member is its first
    folder; where all members lie in one folder that holds several, its first folder below that one.
    """
    named = sorted(((_plain(member.name), member) for member in members), key=lambda pair: (pair[0], pair[1].header))
    shown = [(name, member) for name, member in named if not _is_hidden(name)]
    n_above = _n_common_folders([name for name, _ in shown])
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
        return InputError("replaced", "a later file of this name in the archive is read instead")
    return None


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _is_hidden(name: str) -> bool:
    """As in folders; names that lead outside are none, so that they are told."""
    parts = PurePosixPath(name).parts
    return any(part == RESOURCES or (part.startswith(".") and part != "..") for part in parts)


def _n_common_folders(names: Sequence[str]) -> int:
    """How many folders all files have in common, if there are several below them: they tell nothing apart."""
    folders = {PurePosixPath(name).parent.parts for name in names}
    n_common = 0
    while all(len(parts) > n_common for parts in folders) and len({parts[n_common] for parts in folders}) == 1:
        n_common += 1
    return n_common if len({parts[n_common : n_common + 1] for parts in folders} - {()}) > 1 else 0


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
