"""Local files: those that paths, folders and patterns such as ``notes/**/*.md`` refer to."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmcore.config.locations import LocalFiles
from lmcore.errors import UserError
from lmcore.text.documents.document import ReadError, is_unicode
from lmcore.text.sources.locations.walk import Found, Obstacle, Parts, is_within_match, may_contain_matches, walk
from lmcore.text.sources.source_file import SourceFile

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class _Named:
    """A file and its name: the last ``n_parts`` parts of its path."""

    file: Found
    full: Parts
    """All parts of the path under which it was found."""
    n_parts: int
    n_above: int = 0
    """How many parts of the name are above the folder from which names normally start."""

    @property
    def name(self) -> str:
        return "/".join(self.full[-self.n_parts :])


def find_local_files(source: str, location: LocalFiles) -> tuple[list[SourceFile], list[ReadError]]:
    """Find the files that the paths of a location refer to, in the order of the paths and then by name, each file once.

    A folder, whether named or matched by a pattern, stands for all files in it and below.

    Names are relative to the folder, or to the part of a pattern before its first wildcard; a file that is named itself
    has its own name. If one path contains another, or both are in the same folder, names are relative to the folder
    that contains both. Where two files would have the same name, more folders are put in front until they differ. The
    label is the first folder of the name without these.

    Returns:
        The files, and a read error for each file that must not or cannot be read.

    Raises:
        UserError: if a path leads to no file, or a pattern leads out of its folder.
    """
    found: dict[Path, _Named] = {}
    read_errors: list[ReadError] = []
    roots = [_parse(source, path) for path in location.paths]
    bases = _bases([_folder(root) for root, _ in roots])
    for root, pattern in roots:
        files, obstacles = _find(source, root, pattern)
        read_errors.extend(_read_error(source, obstacle) for obstacle in obstacles)
        base, above = bases[_folder(root)], _folder(root).parts
        for file in files:
            n_parts = len(above) + len(file.file.parts) - len(base.parts)
            found.setdefault(file.file.real_path, replace(file, n_parts=n_parts))
    named = _with_distinct_names(list(found.values()))
    read_errors.extend(_undecodable_name(source, file.name) for file in named if not is_unicode(file.name))
    return [
        SourceFile(file.name, file.file.path, file.file.size, n_above=file.n_above)
        for file in named
        if is_unicode(file.name)
    ], read_errors


def _bases(folders: Sequence[Path]) -> dict[Path, Path]:
    """For the folder of each path, the folder from which names and labels start.

    It is the outermost folder among the paths that contains the folder. If that has a sibling among the paths, it is
    their parent, so that ``[train/pos, train/neg]`` gives the same labels as ``[train]`` and ``[train/*/*.txt]``.
    """
    outermost = {folder: min(set(folders) & {folder, *folder.parents}, key=_depth) for folder in folders}
    n_siblings = Counter(folder.parent for folder in set(outermost.values()) if folder.name)
    return {
        folder: outer.parent if outer.name and n_siblings[outer.parent] > 1 else outer
        for folder, outer in outermost.items()
    }


def _depth(folder: Path) -> int:
    return len(folder.parts)


def _folder(root: Path) -> Path:
    """The absolute folder of a path; links are not resolved."""
    absolute = Path(os.path.abspath(root))  # noqa: PTH100 (a link keeps its name, ".." goes)
    return absolute.parent if root.is_file() else absolute


def _find(source: str, root: Path, pattern: Parts) -> tuple[list[_Named], list[Obstacle]]:
    """The files and obstacles that one path refers to."""
    if root.is_file():
        real_path = Path(os.path.realpath(root))
        file = Found((root.name,), root, real_path, real_path.stat().st_size)
        return [_Named(file, (*_absolute(root.parent), root.name), 1)], []
    if not root.is_dir():
        raise UserError(f"source {source!r}: there is no file or folder {root}: correct the path or create it")
    found = list(walk(root, lambda parts: _is_entered(parts, pattern)))
    files = [file for file in found if isinstance(file, Found) and _is_wanted(file, pattern)]
    obstacles = [obstacle for obstacle in found if isinstance(obstacle, Obstacle) and _is_wanted(obstacle, pattern)]
    if not files:
        wanted = f"matches {'/'.join(pattern)!r} or is in a folder that does" if pattern else "can be read"
        first = "".join(f"; first read error: {'/'.join(o.parts)}: {o.reason}: {o.detail}" for o in obstacles[:1])
        raise UserError(f"source {source!r}: no file in {root} {wanted}; hidden files are skipped{first}")
    above = _absolute(root)
    # A file is preferred under its own path over those that lead through links.
    files.sort(key=lambda file: (file.real_path.parts != (*above, *file.parts), file.parts))
    return [_Named(file, (*above, *file.parts), len(file.parts)) for file in files], obstacles


def _parse(source: str, path: str) -> tuple[Path, Parts]:
    """The folder of a pattern and the rest; a path with wildcards that exists is taken literally."""
    if os.path.lexists(path):
        return Path(path), ()
    parts = Path(path).parts
    n_fixed = next((i for i, part in enumerate(parts) if WILDCARDS & set(part)), len(parts))
    if ".." in parts[n_fixed:]:
        raise UserError(f"source {source!r}: '..' follows a wildcard in {path!r}: put it before the first wildcard")
    return Path(*parts[:n_fixed]), parts[n_fixed:]


def _absolute(folder: Path) -> Parts:
    return Path(os.path.realpath(folder)).parts


def _is_wanted(found: Found | Obstacle, pattern: Parts) -> bool:
    if isinstance(found, Obstacle) and found.is_folder:
        return _is_entered(found.parts, pattern)
    return not pattern or is_within_match(found.parts, pattern)


def _is_entered(folder: Parts, pattern: Parts) -> bool:
    return not pattern or may_contain_matches(folder, pattern) or is_within_match(folder, pattern)


def _with_distinct_names(files: list[_Named]) -> list[_Named]:
    """The files under names that are all different."""
    while True:
        repeated = {name for name, count in Counter(file.name for file in files).items() if count > 1}
        if not repeated:
            return files
        files = [_with_another_folder(file) if file.name in repeated else file for file in files]


def _with_another_folder(file: _Named) -> _Named:
    return replace(file, n_parts=file.n_parts + 1, n_above=file.n_above + 1)


def _read_error(source: str, obstacle: Obstacle) -> ReadError:
    return ReadError(source, _printable("/".join(obstacle.parts)), None, obstacle.reason, obstacle.detail)


def _undecodable_name(source: str, name: str) -> ReadError:
    return ReadError(source, _printable(name), None, "not_unicode", "the file's name is not UTF-8: rename it")


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
