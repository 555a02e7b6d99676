"""Tables as comma-separated files."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from lmcore.runtime.files import atomic_file


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace ``path`` by a table atomically, with a header line of column names."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table, by column name."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
