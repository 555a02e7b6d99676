import ast
import csv
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.config.collect import ReadingLimits
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.source_file import SourceFile
from tests.lmcore.text.sources.reader import PACK, read, records, source, texts

MEASURE = """
import sys
from collections import Counter
from pathlib import Path
import pyarrow.parquet
from lmcore.text.documents.document import Document
from lmcore.config.collect import ReadingLimits
from lmcore.config.readers import TextLines, WholeFiles
from lmcore.text.sources.source_file import SourceFile
from lmcore.text.sources.read_files import read_files
from tests.lmcore.text.sources.reader import records, source

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

path, kind = Path(sys.argv[1]), sys.argv[2]
readers = {
    "lines": TextLines(kind="lines", label=None, encoding=None),
    "whole": WholeFiles(kind="whole_files", encoding=None, divide=None),
    "records": records(),
}
limits = ReadingLimits(max_document_bytes=1_000_000, max_unpacked_bytes=10**12)
Path("/proc/self/clear_refs").write_text("5")  # Forget the peak so far.
before = peak()
counts = Counter(
    item.text[:5] if isinstance(item, Document) else item.reason
    for item in read_files(source(readers[kind]), [SourceFile(path.name, path, 0)], limits)
)
print(dict(counts), peak() - before, sep="\\n")
"""
"""How often each text and each reason occurred, and how many bytes the process needed above what it began with.

Not ``ru_maxrss``: a process takes that over from the one that started it, here a large one.
"""

on_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is Linux's own count")


def json_lines(values: list[str]) -> bytes:
    return "".join(json.dumps({"text": value}, ensure_ascii=False) + "\n" for value in values).encode()


def json_list(values: list[str]) -> bytes:
    return json.dumps([{"text": value} for value in values]).encode()


def comma_separated(values: list[str]) -> bytes:
    content = io.StringIO()
    csv.writer(content).writerows([["text"], *([value] for value in values)])
    return content.getvalue().encode()


def parquet(values: list[str]) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(values, pa.string())}), content, row_group_size=7)
    return content.getvalue()


def zipped(content: bytes, name: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return archive.getvalue()


WRITERS: dict[str, Callable[[list[str]], bytes]] = {
    ".jsonl": json_lines,
    ".json": json_list,
    ".csv": comma_separated,
    ".parquet": parquet,
}


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("ending", [*PACK, ".zip"])
@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_texts_come_back_from_any_format(
    tmp_path_factory: pytest.TempPathFactory, format: str, ending: str, values: list[str]
) -> None:
    content = WRITERS[format](values)
    path = tmp_path_factory.mktemp("rows") / f"rows{format}{ending}"
    path.write_bytes(zipped(content, f"rows{format}") if ending == ".zip" else PACK[ending](content))
    documents, read_errors = read(records(), path)
    assert texts(documents) == [value for value in values if value.strip()]
    assert [read_error.reason for read_error in read_errors] == ["empty_text"] * (len(values) - len(documents))


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("ending", [*PACK, ".zip"])
@settings(max_examples=15, deadline=None)
@given(position=st.floats(0, 1), junk=st.binary(max_size=8), is_cut=st.booleans())
def test_no_damage_ends_the_reading_of_what_follows(
    tmp_path_factory: pytest.TempPathFactory, format: str, ending: str, position: float, junk: bytes, is_cut: bool
) -> None:
    content = WRITERS[format]([f"{number} is the number of this row" for number in range(50)])
    content = zipped(content, f"rows{format}") if ending == ".zip" else PACK[ending](content)
    start = int(position * len(content))
    folder = tmp_path_factory.mktemp("damaged")
    path, next_path = folder / f"rows{format}{ending}", folder / "next.jsonl"
    path.write_bytes(content[:start] + junk + (b"" if is_cut else content[start + len(junk) :]))
    next_path.write_bytes(b'{"text": "next"}')
    try:
        documents, _ = read(records(), path, next_path)
    except ValueError as error:
        if "has no column" not in str(error):  # Where the damage is in the name of the column, the table has none.
            raise
    else:
        assert documents[-1].text == "next"


def measure(path: Path, kind: str) -> tuple[object, int]:
    command = [sys.executable, "-c", MEASURE, str(path), kind]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[4])
    counts, n_bytes = result.stdout.splitlines()
    return ast.literal_eval(counts), int(n_bytes)


@on_linux
@pytest.mark.parametrize(
    ("name", "kind", "head", "n_bytes_long"),
    [
        ("text.txt", "lines", b"", 2 * 10**9),
        ("rows.jsonl", "records", b"", 3 * 10**8),
        ("rows.csv", "records", b"text\n", 3 * 10**8),
        ("rows.tsv", "records", b"text\n", 3 * 10**8),
    ],
)
def test_a_line_of_gigabytes_is_skipped_and_never_in_memory(
    tmp_path: Path, name: str, kind: str, head: bytes, n_bytes_long: int
) -> None:
    one, two = (b'{"text": "%s"}' % word if name == "rows.jsonl" else word for word in (b"one", b"two"))
    with (tmp_path / name).open("wb") as file:
        file.write(head + one + b"\n")
        file.seek(n_bytes_long, io.SEEK_CUR)  # A hole: zeros that take no room on the disk.
        file.write(b"\n" + two + b"\n")
    counts, n_bytes = measure(tmp_path / name, kind)
    assert counts == {"one": 1, "too_long": 1, "two": 1}
    assert n_bytes < 10_000_000


@on_linux
def test_an_object_of_hundreds_of_megabytes_in_a_list_is_skipped_and_never_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "rows.json").open("wb") as file:
        file.write(b'[{"text": "one"}, {"text": "')
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b'"}, {"text": "two"}]')
    counts, n_bytes = measure(tmp_path / "rows.json", "records")
    assert counts == {"one": 1, "too_long": 1, "two": 1}
    assert n_bytes < 20_000_000


@on_linux
def test_a_file_of_gigabytes_is_too_long_for_a_document_and_never_held(tmp_path: Path) -> None:
    with (tmp_path / "text.txt").open("wb") as file:
        file.truncate(2 * 10**9)
    counts, n_bytes = measure(tmp_path / "text.txt", "whole")
    assert counts == {"too_long": 1}
    assert n_bytes < 10_000_000


@on_linux
@pytest.mark.parametrize("ending", [".gz", ".zst", ".zip"])
def test_a_line_that_unpacks_to_much_is_never_held(tmp_path: Path, ending: str) -> None:
    content = b'{"text": "one"}\n' + bytes(300_000_000) + b'\n{"text": "two"}\n'
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(zipped(content, "rows.jsonl") if ending == ".zip" else PACK[ending](content))
    counts, n_bytes = measure(path, "records")
    assert counts == {"one": 1, "too_long": 1, "two": 1}
    assert n_bytes < 60_000_000


@on_linux
@pytest.mark.parametrize("format", WRITERS)
def test_a_file_of_many_rows_is_never_held_whole(tmp_path: Path, format: str) -> None:
    texts = [f"text {number:01000}" for number in range(100_000)]
    path = tmp_path / f"rows{format}"
    if format == ".parquet":
        pq.write_table(pa.table({"text": texts, "other": texts}), path, use_dictionary=False, compression="none")
    else:
        path.write_bytes(WRITERS[format](texts))
    assert path.stat().st_size > 100_000_000
    counts, n_bytes = measure(path, "records")
    assert counts == {"text ": 100_000}
    assert n_bytes < 40_000_000


def test_documents_come_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "one"}\n' * 100_000)
    limits = ReadingLimits(max_document_bytes=1_000, max_unpacked_bytes=1_000)
    found = read_files(source(records()), [SourceFile("rows.jsonl", path, 0)], limits)
    next(found)
    path.write_bytes(b"")
    assert len(list(found)) < 99_999


def test_package_version_and_license_of_a_file_come_along(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"text": "one"}')
    file = SourceFile("rows.jsonl", tmp_path / "rows.jsonl", 0, package="pkg", version="1.2", license="MIT")
    limits = ReadingLimits(max_document_bytes=1_000, max_unpacked_bytes=1_000)
    (document,) = read_files(source(records()), [file], limits)
    assert (document.package, document.version, document.license, document.label) == ("pkg", "1.2", "MIT", "pkg")  # type: ignore[union-attr]
