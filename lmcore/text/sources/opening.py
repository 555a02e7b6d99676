"""Opening text files, plain or compressed."""

import gzip
import zlib
from pathlib import Path
from typing import TextIO

DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a compressed file raises where it is cut off or damaged."""


def open_text(path: Path) -> TextIO:
    """A text file, unpacked if it is named ``.gz``; UTF-8 with or without a mark of it, line ends as they are.

    Bytes that are not UTF-8 become lone surrogates, so that only the line they stand in is lost.
    """
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def check_is_file(source: str, path: Path) -> None:
    """Make sure that the file of a source is there.

    Raises:
        ValueError: if it is not.
    """
    if not path.is_file():
        raise ValueError(f"source {source!r}: there is no file {path}")
