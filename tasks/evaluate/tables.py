"""Tables as files, for ``dvc plots`` and for people."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from lmcore.runtime.files import atomic_file


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace ``path`` by a comma-separated table."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
