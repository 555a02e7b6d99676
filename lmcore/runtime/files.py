"""Files and folders that are written atomically, and digests of their content."""

import csv
import ctypes
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AT_CWD, RENAME_EXCHANGE = -100, 2
"""Arguments of ``renameat2`` (``fcntl.h`` and ``linux/fs.h``)."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; on success, the file is flushed to disk and renamed to ``path``.

    On an exception the temporary file is removed and ``path`` stays as it was. The mode of the file follows from the
    umask, whatever library writes it: safetensors would let only the owner read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    mode = _create(temporary)
    try:
        yield temporary
        flush(temporary)
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder next to ``path``; on success, it replaces ``path``.

    A process that is killed meanwhile leaves the old folder or the new one at ``path``. The modes of the folder and of
    all files in it follow from the umask, as with :func:`atomic_file`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        mode = _create(temporary / ".mode")
        (temporary / ".mode").unlink()
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(mode)
                flush(file)
        # Who may read the files may enter the folder.
        temporary.chmod(mode | 0o100 | (mode & 0o044) >> 2)
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    flush(path.parent)


def _replace_folder(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; what was there before is at ``new`` or gone."""
    if not os.path.lexists(path):
        new.replace(path)
    elif path.is_symlink() or not path.is_dir():
        path.unlink()
        new.replace(path)
    elif not _exchange(new, path):
        # Where folders cannot be exchanged, a process that is killed between the two renames leaves none at ``path``.
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        path.replace(old / "old")
        new.replace(path)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step (``renameat2`` of Linux); false where the system or file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(AT_CWD, os.fsencode(first), AT_CWD, os.fsencode(second), RENAME_EXCHANGE) == 0)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in UTF-8, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` as indented JSON, atomically; equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace ``path`` by a comma-separated table with a header line atomically."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a comma-separated table with a header line, by column name."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder, in hexadecimal."""
    return folder_digest(path) if path.is_dir() else file_digest(path)


def folder_digest(folder: Path, *, without: Path | None = None) -> str:
    """SHA-256 over the relative paths and contents of all files below ``folder``, in hexadecimal.

    Args:
        folder: the folder.
        without: a file to leave out.
    """
    total = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file() and file != without):
        total.update(f"{file.relative_to(folder).as_posix()}\0{file_digest(file)}\n".encode())
    return total.hexdigest()


def _create(path: Path) -> int:
    """Create an empty file and return its mode, which follows from the umask."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def flush(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
