import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, texts, write

COMMA_SEPARATED = (
    b'\xef\xbb\xbfbody,topic,title\r\n"two\r\nlines, one comma",a,x\r\n\r\n'
    b'too,many,values,here\r\nfew\r\n,a,x\r\n"caf\xe9",a,x\r\n"say ""yes""",,\r\n'
)
BODY = records("body", label="topic", name="title")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def test_comma_separated_values_with_a_header(tmp_path: Path) -> None:
    documents, _ = read(BODY, write(tmp_path / "rows.csv", COMMA_SEPARATED))
    assert [(document.line, document.text, document.label, document.name) for document in documents] == [
        (2, "two\r\nlines, one comma", "a", "x"),
        (9, 'say "yes"', None, None),
    ]


def test_each_unusable_row_is_located_by_its_first_line(tmp_path: Path) -> None:
    _, read_errors = read(BODY, write(tmp_path / "rows.csv", COMMA_SEPARATED))
    assert lines_and_reasons(read_errors) == [
        (5, "wrong_number_of_columns"),
        (6, "wrong_number_of_columns"),
        (7, "empty_text"),
        (8, "not_unicode"),
    ]


def test_a_field_may_have_many_megabytes(tmp_path: Path) -> None:
    text = 'word "and"\n' * 1_000_000
    content = io.StringIO()
    csv.writer(content).writerows([["body", "topic", "title"], [text, "a", "x"], ["next", "a", "x"]])
    file = write(tmp_path / "rows.csv", content.getvalue().encode())
    documents, read_errors = read(BODY, file, max_document_bytes=2 * len(text))
    assert texts(documents) == [text, "next"]
    assert not read_errors


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_table_may_have_no_header(tmp_path: Path, name: str) -> None:
    separator = b"," if name == "rows.csv" else b"\t"
    content = b"one%sa\ntwo%sb\nthree\n".replace(b"%s", separator)
    documents, read_errors = read(
        records("text", label="class", columns=("text", "class")), write(tmp_path / name, content)
    )
    assert [(document.text, document.label) for document in documents] == [("one", "a"), ("two", "b")]
    assert lines_and_reasons(read_errors) == [(3, "wrong_number_of_columns")]


@pytest.mark.parametrize("content", [b"body,title\n", b"other\nx\n", b"\n\nbody,other\nx,y\n"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_missing_column_is_an_error_that_names_those_there_are(tmp_path: Path, name: str, content: bytes) -> None:
    content = content if name == "rows.csv" else content.replace(b",", b"\t")
    message = (
        rf"source 'given': {name} has no column .*'topic'.*; its columns are '(body', 'title|other|body', 'other)'"
    )
    with pytest.raises(ValueError, match=message):
        read(BODY, write(tmp_path / name, content))


def test_a_field_that_is_no_given_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows.csv has no column 'text'; its columns are 'a', 'b'"):
        read(records(columns=("a", "b")), write(tmp_path / "rows.csv", b"1,2\n"))


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_of_a_table_whose_header_cannot_be_read_nothing_is_taken_for_one(tmp_path: Path, name: str) -> None:
    documents, read_errors = read(records(), write(tmp_path / name, b"caf\xe9\nx\ntext\n"))
    assert not documents
    assert lines_and_reasons(read_errors) == [(1, "not_unicode")]


def test_tab_separated_values_take_quotation_marks_as_they_are(tmp_path: Path) -> None:
    content = b'topic\tbody\ttitle\r\n1\tso-called "art\tx\r\n\n0\t"\ty\n1\tone more\n1\tcaf\xe9\tx\n2\tlast\t'
    documents, read_errors = read(BODY, write(tmp_path / "rows.tsv", content))
    assert [(document.text, document.label, document.name) for document in documents] == [
        ('so-called "art', "1", "x"),
        ('"', "0", "y"),
        ("last", "2", None),
    ]
    assert lines_and_reasons(read_errors) == [(5, "wrong_number_of_columns"), (6, "not_unicode")]


def test_an_unclosed_quotation_mark_costs_its_line_and_no_other(tmp_path: Path) -> None:
    rows = [f"row {number},a" for number in range(1_000)]
    rows[10] = '"row 10,a'
    rows[20] = '"row 20",a'
    rows[990] = '"row 990,a'
    documents, read_errors = read(
        records("text", label="class"), write(tmp_path / "rows.csv", "\n".join(["text,class", *rows]).encode())
    )
    assert texts(documents) == [f"row {number}" for number in range(1_000) if number not in (10, 990)]
    assert lines_and_reasons(read_errors) == [(12, "malformed_csv"), (992, "malformed_csv")]


def test_an_unclosed_quotation_mark_costs_its_line_even_where_more_follows_than_a_row_may_have(tmp_path: Path) -> None:
    rows = ["text", "one", '"two', *(f"line {number}" for number in range(1_000))]
    file = write(tmp_path / "rows.csv", "\n".join(rows).encode())
    documents, read_errors = read(records(), file, max_document_bytes=100)
    assert texts(documents) == ["one", *rows[3:]]
    assert lines_and_reasons(read_errors) == [(3, "too_long")]


def test_a_row_that_is_too_long_is_skipped_to_its_end(tmp_path: Path) -> None:
    content = io.StringIO()
    rows = [["a", "one"], ["b", 'a line, "two"\n' * 50_000], ["c", "three"], ["d", "x" * 400_000], ["e", "five"]]
    csv.writer(content, lineterminator="\n").writerows([["name", "text"], *rows])
    documents, read_errors = read(
        records(), write(tmp_path / "rows.csv", content.getvalue().encode()), max_document_bytes=1_000
    )
    assert texts(documents) == ["one", "three", "five"]
    assert lines_and_reasons(read_errors) == [(3, "too_long"), (50_005, "too_long")]


@pytest.mark.parametrize("row", [b'"a" b,c', b'"a"b"",c', b'"a"\rb,c'])
def test_a_row_against_the_grammar_is_located_and_costs_no_other(tmp_path: Path, row: bytes) -> None:
    documents, read_errors = read(
        records("text"), write(tmp_path / "rows.csv", b"text,more\none,1\n" + row + b"\nthree,3\n")
    )
    assert texts(documents) == ["one", "three"]
    assert lines_and_reasons(read_errors) == [(3, "malformed_csv")]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=20))
def test_what_pyarrow_writes_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    table = pa.table({"text": pa.array([text for text, _ in rows], pa.string()), "more": [more for _, more in rows]})
    pa.csv.write_csv(table.cast(pa.schema([("text", pa.string()), ("more", pa.string())])), path)
    documents, _ = read(records(), path)
    assert texts(documents) == [text for text, _ in rows if text.strip()]
