import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from lmcore.text.config import Records
from lmcore.text.documents import Reading
from lmcore.text.sources.records import plan_records

JSON_LINES = b"""{"body": "plain", "topic": "a", "title": "first"}
{"body": "a number for a label", "topic": 3, "title": null}

{"body": "cut off
["body"]
{"topic": "a", "title": "x"}
{"body": 7, "topic": "a", "title": "x"}
{"body": "a list for a label", "topic": ["a"], "title": "x"}
{"body": "caf\xe9", "topic": "a", "title": "x"}
{"body": "half \\ud83d", "topic": "a", "title": "x"}
{"body": "  ", "topic": "a", "title": "x"}
{"body": "bad label", "topic": "caf\xe9", "title": "x"}
{"body": "last, without a line end", "topic": "", "title": "x"}"""

COMMA_SEPARATED = (
    b'\xef\xbb\xbfbody,topic,title\r\n"two\r\nlines, one comma",a,x\r\n\r\n'
    b'too,many,values,here\r\nfew\r\n,a,x\r\n"caf\xe9",a,x\r\n"say ""yes""",,\r\n'
)


def config(path: Path, target_field: str | None = None) -> Records:
    return Records(
        kind="records",
        name="rows",
        path=path,
        text_field="body",
        label_field="topic",
        target_field=target_field,
        name_field="title",
        split=None,
    )


def read(path: Path, content: bytes) -> Reading:
    path.write_bytes(content)
    (piece,) = plan_records(config(path))
    return piece.read()


def test_json_lines_with_named_fields(tmp_path: Path) -> None:
    documents = read(tmp_path / "rows.jsonl", JSON_LINES).documents
    assert [(document.line, document.text, document.label, document.name) for document in documents] == [
        (1, "plain", "a", "first"),
        (2, "a number for a label", "3", None),
        (13, "last, without a line end", None, "x"),
    ]


def test_each_unusable_line_is_located(tmp_path: Path) -> None:
    faults = read(tmp_path / "rows.jsonl", JSON_LINES).faults
    assert [(fault.line, fault.reason) for fault in faults] == [
        (4, "malformed_json"),
        (5, "not_an_object"),
        (6, "missing_field"),
        (7, "not_a_string"),
        (8, "not_a_string"),
        (9, "not_unicode"),
        (10, "not_unicode"),
        (11, "empty_text"),
        (12, "not_unicode"),
    ]
    assert {fault.path for fault in faults} == {"rows.jsonl"}


def test_comma_separated_values_with_a_header(tmp_path: Path) -> None:
    documents = read(tmp_path / "rows.csv", COMMA_SEPARATED).documents
    assert [(document.line, document.text, document.label, document.name) for document in documents] == [
        (2, "two\r\nlines, one comma", "a", "x"),
        (9, 'say "yes"', None, None),
    ]


def test_each_unusable_row_is_located_by_its_first_line(tmp_path: Path) -> None:
    faults = read(tmp_path / "rows.csv", COMMA_SEPARATED).faults
    assert [(fault.line, fault.reason) for fault in faults] == [
        (5, "wrong_number_of_values"),
        (6, "wrong_number_of_values"),
        (7, "empty_text"),
        (8, "not_unicode"),
    ]


def test_a_text_may_be_long(tmp_path: Path) -> None:
    text = "word " * 100_000
    (document,) = read(tmp_path / "rows.csv", f"body,topic,title\n{text},a,x\n".encode()).documents
    assert document.text == text


@pytest.mark.parametrize("content", [b"", b"body,title\n", b"other\nx\n"])
def test_a_missing_column_is_an_error_that_names_those_there_are(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"has no column .*topic.*; its columns are (none|body, title|other)"):
        read(tmp_path / "rows.csv", content)


def test_deeply_nested_json_is_one_bad_line(tmp_path: Path) -> None:
    reading = read(tmp_path / "rows.jsonl", b"[" * 100_000 + b'\n{"body": "x", "topic": null, "title": null}\n')
    assert [fault.reason for fault in reading.faults] == ["malformed_json"]
    assert len(reading.documents) == 1


def test_tab_separated_values_take_quotation_marks_as_they_are(tmp_path: Path) -> None:
    content = b'topic\tbody\ttitle\n1\tso-called "art\tx\n0\t"\ty\n1\tone more\n'
    reading = read(tmp_path / "rows.tsv", content)
    assert [(document.text, document.label) for document in reading.documents] == [('so-called "art', "1"), ('"', "0")]
    assert [(fault.line, fault.reason) for fault in reading.faults] == [(4, "wrong_number_of_values")]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_a_compressed_file_reads_as_the_plain_one(tmp_path: Path, name: str) -> None:
    content = {"rows.jsonl": JSON_LINES, "rows.csv": COMMA_SEPARATED}[name]
    plain, compressed = read(tmp_path / name, content), read(tmp_path / f"{name}.gz", gzip.compress(content))
    assert [replace(document, path=name) for document in compressed.documents] == plain.documents
    assert [replace(fault, path=name) for fault in compressed.faults] == plain.faults


def test_of_a_compressed_file_that_is_cut_off_the_rows_before_are_kept(tmp_path: Path) -> None:
    rows = b"".join(b'{"body": "row %d", "topic": null, "title": null}\n' % number for number in range(20_000))
    whole = gzip.compress(rows)
    reading = read(tmp_path / "rows.jsonl.gz", whole[: len(whole) // 2])
    kept = len(reading.documents)
    assert 1_000 < kept < 20_000
    assert [document.text for document in reading.documents] == [f"row {number}" for number in range(kept)]
    assert [(fault.reason, fault.line) for fault in reading.faults][-1] == ("damaged_file", kept + 1)


def test_a_target_is_read_and_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("body,topic,title,answer\nWhat?,a,x,That.\nAnd?,a,x,\n")
    (piece,) = plan_records(config(path, target_field="answer"))
    reading = piece.read()
    assert [(document.text, document.target) for document in reading.documents] == [("What?", "That.")]
    assert [(fault.line, fault.reason) for fault in reading.faults] == [(3, "empty_text")]


@pytest.mark.parametrize("name", ["rows.xml", "rows", "rows.xml.gz", "rows.gz", "rows.jsonl.xz"])
def test_other_formats_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"neither a .jsonl nor a .csv nor a .tsv file"):
        config(Path(name))
