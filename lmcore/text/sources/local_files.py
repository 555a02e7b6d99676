"""Files of this machine: what the paths, folders and patterns of ``params.yaml`` stand for."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from lmcore.text.documents import Fault, is_unicode
from lmcore.text.sources.config import LocalFiles
from lmcore.text.sources.files import SourceFile
from lmcore.text.sources.folders import Found, Obstacle, Parts, matches, may_hold_matches, walk

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class _Named:
    """A file under one of its names: the last parts of ``path``, as many as the name needs."""

    file: Found
    full: Parts
    """All parts of where it lies, as the source reached it."""
    n_parts: int

    @property
    def name(self) -> str:
        return "/".join(self.full[-self.n_parts :])


def find_local_files(source: str, location: LocalFiles) -> tuple[list[SourceFile], list[Fault]]:
    """The files that the paths stand for, in the order of the paths and then of their names, each file once.

    A name is relative to the folder, to the fixed part of the pattern, or is the file's own. Where two files would
    have the same name, the names start as many folders further up as it takes to tell them apart.

    Returns:
        The files, and a fault for each that may not or cannot be read.

    Raises:
        ValueError: if a path leads to no file, or a pattern leads out of its folder.
    """
    found: dict[Path, _Named] = {}
    faults: list[Fault] = []
    for path in location.paths:
        files, obstacles = _find(source, path)
        faults.extend(_fault(source, obstacle) for obstacle in obstacles)
        for file in files:
            found.setdefault(file.file.real_path, file)
    named = _told_apart(list(found.values()))
    faults.extend(_unspeakable(source, file.name) for file in named if not is_unicode(file.name))
    return [SourceFile(file.name, file.file.path, file.file.size) for file in named if is_unicode(file.name)], faults


def _find(source: str, path: str) -> tuple[list[_Named], list[Obstacle]]:
    """What one path stands for; a name that holds wildcards is itself where there is such a file."""
    root, pattern = (Path(path), ()) if os.path.lexists(path) else _parse(source, path)
    if root.is_file():
        lies_at = Path(os.path.realpath(root))
        file = Found((root.name,), root, lies_at, lies_at.stat().st_size)
        return [_Named(file, (*_absolute(root.parent), root.name), 1)], []
    if not root.is_dir():
        raise ValueError(f"source {source!r}: there is no file or folder {root}: correct the path, or put it there")
    met = list(walk(root, lambda parts: not pattern or may_hold_matches(parts, pattern)))
    files = [file for file in met if isinstance(file, Found) and _is_wanted(file, pattern)]
    obstacles = [obstacle for obstacle in met if isinstance(obstacle, Obstacle) and _is_wanted(obstacle, pattern)]
    if not files:
        wanted = f"matches {'/'.join(pattern)!r}" if pattern else "can be read"
        first = "".join(f"; first fault: {'/'.join(o.parts)}: {o.reason}: {o.detail}" for o in obstacles[:1])
        raise ValueError(f"source {source!r}: no file in {root} {wanted}; what is hidden is skipped{first}")
    above = _absolute(root)
    # A file's own name goes before those that links give it.
    files.sort(key=lambda file: (file.real_path.parts != (*above, *file.parts), file.parts))
    return [_Named(file, (*above, *file.parts), len(file.parts)) for file in files], obstacles


def _parse(source: str, path: str) -> tuple[Path, Parts]:
    """A pattern's folder, and the rest."""
    parts = Path(path).parts
    n_fixed = next((i for i, part in enumerate(parts) if WILDCARDS & set(part)), len(parts))
    if ".." in parts[n_fixed:]:
        raise ValueError(f"source {source!r}: '..' stands behind a wildcard in {path!r}: put it before the first one")
    return Path(*parts[:n_fixed]), parts[n_fixed:]


def _absolute(folder: Path) -> Parts:
    return Path(os.path.realpath(folder)).parts


def _is_wanted(met: Found | Obstacle, pattern: Parts) -> bool:
    if not pattern or matches(met.parts, pattern):
        return True
    return isinstance(met, Obstacle) and met.is_folder and may_hold_matches(met.parts, pattern)


def _told_apart(files: list[_Named]) -> list[_Named]:
    """The files, under names that no other has."""
    while True:
        repeated = {name for name, count in Counter(file.name for file in files).items() if count > 1}
        if not repeated:
            return files
        files = [replace(file, n_parts=file.n_parts + 1) if file.name in repeated else file for file in files]


def _fault(source: str, obstacle: Obstacle) -> Fault:
    return Fault(source, _printable("/".join(obstacle.parts)), None, obstacle.reason, obstacle.detail)


def _unspeakable(source: str, name: str) -> Fault:
    return Fault(source, _printable(name), None, "not_unicode", "the file's name is not UTF-8: rename it")


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
