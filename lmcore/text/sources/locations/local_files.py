"""Files of this machine: what the paths, folders and patterns of ``params.yaml`` stand for."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmcore.config.collect import LocalFiles
from lmcore.errors import UserError
from lmcore.text.documents.document import ReadError, is_unicode
from lmcore.text.sources.locations.walk import Found, Obstacle, Parts, is_within_match, may_hold_matches, walk
from lmcore.text.sources.source_file import SourceFile

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class _Named:
    """A file under one of its names: the last parts of ``path``, as many as the name needs."""

    file: Found
    full: Parts
    """All parts of where it lies, as the source reached it."""
    n_parts: int
    n_above: int = 0
    """How many of them lie above the base of its path."""

    @property
    def name(self) -> str:
        return "/".join(self.full[-self.n_parts :])


def find_local_files(source: str, location: LocalFiles) -> tuple[list[SourceFile], list[ReadError]]:
    """The files that the paths stand for, in the order of the paths and then of their names, each file once.

    Of a folder, named or matched by a pattern, these are all files in it and below.

    A name is relative to the folder, to the fixed part of the pattern, or is the file's own; of paths that lie in
    or beside each other, to what all of them lie in. Where two files would have the same name, the names start as many
    folders further up as it takes to tell them apart. The label is the first folder of the name before that.

    Returns:
        The files, and a read error for each that may not or cannot be read.

    Raises:
        ValueError: if a path leads to no file, or a pattern leads out of its folder.
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
    named = _told_apart(list(found.values()))
    read_errors.extend(_unspeakable(source, file.name) for file in named if not is_unicode(file.name))
    return [
        SourceFile(file.name, file.file.path, file.file.size, n_above=file.n_above)
        for file in named
        if is_unicode(file.name)
    ], read_errors


def _bases(folders: Sequence[Path]) -> dict[Path, Path]:
    """For each folder of a path the one below which labels are looked for.

    It is the outermost folder of all paths that the folder lies in; or, where that lies beside another one, what both
    lie in, so that ``[train/pos, train/neg]`` gives the labels that ``[train]`` and ``[train/*/*.txt]`` give.
    """
    outermost = {folder: min(set(folders) & {folder, *folder.parents}, key=_depth) for folder in folders}
    n_beside = Counter(folder.parent for folder in set(outermost.values()) if folder.name)
    return {
        folder: outer.parent if outer.name and n_beside[outer.parent] > 1 else outer
        for folder, outer in outermost.items()
    }


def _depth(folder: Path) -> int:
    return len(folder.parts)


def _folder(root: Path) -> Path:
    """The folder of a path, under the name that it is given."""
    absolute = Path(os.path.abspath(root))  # noqa: PTH100 (a link keeps its name, ".." goes)
    return absolute.parent if root.is_file() else absolute


def _find(source: str, root: Path, pattern: Parts) -> tuple[list[_Named], list[Obstacle]]:
    """What one path stands for."""
    if root.is_file():
        lies_at = Path(os.path.realpath(root))
        file = Found((root.name,), root, lies_at, lies_at.stat().st_size)
        return [_Named(file, (*_absolute(root.parent), root.name), 1)], []
    if not root.is_dir():
        raise UserError(f"source {source!r}: there is no file or folder {root}: correct the path, or put it there")
    met = list(walk(root, lambda parts: _is_entered(parts, pattern)))
    files = [file for file in met if isinstance(file, Found) and _is_wanted(file, pattern)]
    obstacles = [obstacle for obstacle in met if isinstance(obstacle, Obstacle) and _is_wanted(obstacle, pattern)]
    if not files:
        wanted = f"matches {'/'.join(pattern)!r} or lies in a folder that does" if pattern else "can be read"
        first = "".join(f"; first read error: {'/'.join(o.parts)}: {o.reason}: {o.detail}" for o in obstacles[:1])
        raise UserError(f"source {source!r}: no file in {root} {wanted}; what is hidden is skipped{first}")
    above = _absolute(root)
    # A file's own name goes before those that links give it.
    files.sort(key=lambda file: (file.real_path.parts != (*above, *file.parts), file.parts))
    return [_Named(file, (*above, *file.parts), len(file.parts)) for file in files], obstacles


def _parse(source: str, path: str) -> tuple[Path, Parts]:
    """A pattern's folder, and the rest; a name that holds wildcards is itself where there is such a file."""
    if os.path.lexists(path):
        return Path(path), ()
    parts = Path(path).parts
    n_fixed = next((i for i, part in enumerate(parts) if WILDCARDS & set(part)), len(parts))
    if ".." in parts[n_fixed:]:
        raise UserError(f"source {source!r}: '..' is after a wildcard in {path!r}: put it before the first one")
    return Path(*parts[:n_fixed]), parts[n_fixed:]


def _absolute(folder: Path) -> Parts:
    return Path(os.path.realpath(folder)).parts


def _is_wanted(met: Found | Obstacle, pattern: Parts) -> bool:
    if isinstance(met, Obstacle) and met.is_folder:
        return _is_entered(met.parts, pattern)
    return not pattern or is_within_match(met.parts, pattern)


def _is_entered(folder: Parts, pattern: Parts) -> bool:
    return not pattern or may_hold_matches(folder, pattern) or is_within_match(folder, pattern)


def _told_apart(files: list[_Named]) -> list[_Named]:
    """The files, under names that no other has."""
    while True:
        repeated = {name for name, count in Counter(file.name for file in files).items() if count > 1}
        if not repeated:
            return files
        files = [_with_another_folder(file) if file.name in repeated else file for file in files]


def _with_another_folder(file: _Named) -> _Named:
    return replace(file, n_parts=file.n_parts + 1, n_above=file.n_above + 1)


def _read_error(source: str, obstacle: Obstacle) -> ReadError:
    return ReadError(source, _printable("/".join(obstacle.parts)), None, obstacle.reason, obstacle.detail)


def _unspeakable(source: str, name: str) -> ReadError:
    return ReadError(source, _printable(name), None, "not_unicode", "the file's name is not UTF-8: rename it")


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
