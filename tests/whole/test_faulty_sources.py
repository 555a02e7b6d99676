"""Everything that can be wrong with input, in one source, through the stages that read it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmcore.config.tokenize import SplitFractions
from lmcore.text.documents.shards import read_documents
from tasks.clean import clean_documents
from tasks.collect import collect_documents, refresh_lock
from tasks.context.environment import Environment
from tests.lmcore.text.cleaning_for_tests import configure_cleaning
from tests.lmcore.text.sources_for_tests import RECORDS, configure, local

LINE_BYTES = 2 * 10**9
# What of each file can be used, and what cannot: line and reason.
EXPECTED: dict[str, tuple[int, list[tuple[int | None, str]]]] = {
    "good.jsonl": (3, []),
    "undecodable.jsonl": (2, [(2, "not_unicode")]),
    "malformed.jsonl": (2, [(2, "malformed_json")]),
    "missing-field.jsonl": (2, [(2, "missing_field")]),
    "missing-value.csv": (2, [(3, "wrong_number_of_columns")]),
    "long-line.jsonl": (2, [(2, "too_long")]),
    "empty.jsonl": (0, [(None, "empty_file")]),
    "cut.jsonl.gz": (1_999, [(2_000, "damaged_file")]),
    "bomb.jsonl.gz": (1, [(2, "unpacks_too_large")]),
    "outside.jsonl": (0, [(None, "outside_folder")]),
    "loop": (0, [(None, "symlink_loop")]),
}


def row(number: int, place: str) -> bytes:
    return json.dumps({"text": f"Row {number} of {place}."}).encode() + b"\n"


def write_source(folder: Path) -> dict[str, Any]:
    """A source of files that each have something wrong in their second row, as far as they have rows."""
    folder.mkdir()

    def write(name: str, *lines: bytes) -> None:
        (folder / name).write_bytes(b"".join(lines))

    write("good.jsonl", *(row(number, "good") for number in range(3)))
    for name, line in {
        "undecodable.jsonl": b'{"text": "\xff"}\n',
        "malformed.jsonl": b'{"text": "Row 1\n',
        "missing-field.jsonl": b'{"content": "Row 1."}\n',
    }.items():
        write(name, row(0, name), line, row(2, name))
    write("missing-value.csv", b"number,text\n", b"0,Row 0 of a table.\n", b"1\n", b"2,Row 2 of a table.\n")
    with (folder / "long-line.jsonl").open("wb") as file:
        file.write(row(0, "long lines"))
        file.seek(LINE_BYTES, 1)  # A hole: zeros that take no room on the disk.
        file.write(b"\n" + row(2, "long lines"))
    write("empty.jsonl")
    # Stored as it is, it is known where the cut falls: into the last row, before a checksum of eight bytes.
    packed = gzip.compress(b"".join(row(number, "a file that is cut off") for number in range(2_000)), compresslevel=0)
    write("cut.jsonl.gz", packed[:-20])
    write("bomb.jsonl.gz", gzip.compress(row(0, "a bomb") + bytes(30_000_000)))
    outside = folder.parent / "outside.jsonl"
    outside.write_bytes(row(0, "what lies outside"))
    (folder / "outside.jsonl").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    return local("faulty", folder, RECORDS)


def collect(source: dict[str, Any], folder: Path, *, strict: bool = False) -> Environment:
    environment, lock = Environment(workers=1, work_folder=folder / "work"), folder / "sources.lock"
    config = configure(source, strict=strict)
    refresh_lock(config, environment, lock=lock)
    collect_documents(config, environment, lock=lock, raw=folder / "raw")
    return environment


def test_every_read_error_is_counted_and_located_and_nothing_else_is_lost(tmp_path: Path) -> None:
    environment = collect(write_source(tmp_path / "own"), tmp_path)
    paths = read_documents(tmp_path / "raw", ["path"])["path"].to_pylist()
    clean_documents(
        configure_cleaning(),
        SplitFractions(validation=0.1, test=0.1),
        environment,
        raw=tmp_path / "raw",
        clean_folder=tmp_path / "clean",
    )
    ledger = pq.read_table(tmp_path / "clean/ledger.parquet", filters=[("action", "=", "unreadable")]).to_pylist()
    found = {
        name: (
            paths.count(name),
            [(row["line"], row["rule"]) for row in ledger if row["path"] == name],
        )
        for name in EXPECTED
    }
    assert found == EXPECTED
    n_read_errors = sum(len(errors) for _, errors in EXPECTED.values())
    assert n_read_errors == len(ledger)
    summary = json.loads((tmp_path / "clean/summary.json").read_bytes())
    assert summary["unreadable_by_reason"] == {reason: 1 for _, errors in EXPECTED.values() for _, reason in errors}
    assert summary["input"] == len(paths) == summary["kept"] + summary["dropped"]


@pytest.mark.parametrize("name", [name for name, (_, errors) in EXPECTED.items() if errors])
def test_each_of_them_is_an_error_where_reading_is_strict(name: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "own")
    for file in (tmp_path / "own").iterdir():
        if file.name not in ("good.jsonl", name):
            file.unlink()
    ((_, reason),) = EXPECTED[name][1]
    with pytest.raises(ValueError, match=rf"^source 'faulty': {name}.*: {reason}: .*collect\.strict is true"):
        collect(source, tmp_path, strict=True)
    assert not (tmp_path / "raw").exists()


def test_a_table_without_the_column_is_an_error_that_names_source_file_and_columns(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/table.csv").write_text("content,label\nSome text.,a\n")
    with pytest.raises(ValueError, match=r"'faulty': table\.csv has no column 'text'; its columns are 'content', 'lab"):
        collect(local("faulty", tmp_path / "own", RECORDS), tmp_path)
