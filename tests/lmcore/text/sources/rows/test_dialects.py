"""Tables as others write them, held against what the writers were given."""

import csv
import gzip
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.config.collect import ReadingLimits
from lmcore.text.sources.notes import Notes, describe_note
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.source_file import SourceFile
from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, source, texts, write

PROSE = [
    'The first, "quoted" sentence; of some | length.',
    "The second has\na line break and a tab\there.",
    "A plain one",
    "It's another, with words",
    '"All of it is quoted."',
    'A stray " mark',
    "Semi; colons; here",
]
# What is written must not be empty, and a text of white space alone is no document.
TEXT = st.text(st.sampled_from("ab\"'\t,;| \n#é"), min_size=1, max_size=12).filter(lambda text: text.strip() != "")
WORD = st.sampled_from(["pos", "neg", "un;sure", "1"])


def decisions(reader: object, path: Path) -> list[str]:
    notes = Notes()
    limits = ReadingLimits(max_document_bytes=10**6, max_unpacked_bytes=10**8)
    list(read_files(source(reader), [SourceFile(path.name, path, 0)], limits, notes))  # type: ignore[arg-type]
    return [describe_note(what, note) for what, note in notes.summary().items()]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.txt", "rows"])
def test_a_table_that_pandas_writes_comes_back(
    tmp_path: Path, name: str, separator: str, end: str, quoting: int
) -> None:
    # Python's writer leaves a line feed bare where rows end with a carriage return alone: nobody could read that.
    prose = [text.replace("\n", " ") for text in PROSE] if end == "\r" else PROSE
    frame = pd.DataFrame({"label": [f"class {number % 2}" for number in range(7)], "text": prose})
    frame.to_csv(tmp_path / name, sep=separator, lineterminator=end, quoting=quoting)  # type: ignore[call-overload]
    documents, read_errors = read(records(label="label"), tmp_path / name)
    assert texts(documents) == prose
    assert [document.label for document in documents] == list(frame["label"])
    assert not read_errors


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(WORD, TEXT), min_size=1, max_size=8),
    separator=st.sampled_from(",\t;|"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    has_header=st.booleans(),
)
def test_any_table_comes_back_where_its_form_is_given(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    separator: str,
    end: str,
    quoting: int,
    has_header: bool,
) -> None:
    path = tmp_path_factory.mktemp("tables") / "rows.data.gz"
    content = pd.DataFrame(rows, columns=["label", "text"]).to_csv(
        sep=separator,
        lineterminator=end,
        quoting=quoting,
        index=False,
        header=has_header,  # type: ignore[call-overload]
    )
    path.write_bytes(gzip.compress(content.encode()))
    columns = None if has_header else ("label", "text")
    reader = records(label="label", columns=columns, format="csv", delimiter=separator, quoting="quoted")
    documents, read_errors = read(reader, path)
    assert [(document.label, document.text) for document in documents] == rows
    assert not read_errors


RAW = [
    'He said "hi',
    '"Hello," she said, "and goodbye.',
    '"',
    '"A whole sentence in quotes."',
    "'' `` and \" alone",
    'A 5" screen',
    '"Go away.',
    'Please leave."',
]


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(RAW), has_header=st.booleans(), end=st.sampled_from(["\n", "\r\n"]))
def test_tab_separated_lines_that_nobody_quoted_come_back(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], has_header: bool, end: str
) -> None:
    lines = (["label\ttext"] if has_header else []) + [f"{number % 2}\t{text}" for number, text in enumerate(order)]
    path = tmp_path_factory.mktemp("raw") / "rows.tsv"
    path.write_bytes(end.join(lines).encode())
    documents, read_errors = read(records(label="label", columns=None if has_header else ("label", "text")), path)
    assert texts(documents) == order
    assert not read_errors


@pytest.mark.parametrize("quoting", ["none", "quoted"])
def test_where_quotation_marks_cannot_be_told_they_are_given(tmp_path: Path, quoting: str) -> None:
    path = write(tmp_path / "rows.tsv", b'label\ttext\na\t"One\nb\ttwo"\nc\tthree\n')
    documents, _ = read(records(label="label", quoting=quoting), path)  # type: ignore[arg-type]
    assert texts(documents) == (['"One', 'two"', "three"] if quoting == "none" else ["One\nb\ttwo", "three"])


def test_the_first_quotation_mark_may_come_late(tmp_path: Path) -> None:
    rows = [
        ["label", "text"],
        *([f"{n % 2}", f"row {n}"] for n in range(30_000)),
        ["1", 'two\nlines of "it"'],
        ["0", "end"],
    ]
    content = io.StringIO()
    csv.writer(content, delimiter="\t", lineterminator="\n").writerows(rows)
    documents, read_errors = read(records(label="label"), write(tmp_path / "rows.tsv", content.getvalue().encode()))
    assert texts(documents)[-2:] == ['two\nlines of "it"', "end"]
    assert [document.line for document in documents[-2:]] == [30_002, 30_004]
    assert not read_errors


@pytest.mark.parametrize(
    "content", ["News;'It rains, again.'\nSport;'They won, at last.'\n", "a;one, two, three\nb;four\n"]
)
def test_a_semicolon_is_found_and_said_where_every_row_fits_it(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "rows.csv", content.encode())
    reader = records(label="label", columns=("label", "text"))
    assert texts(read(reader, path)[0]) == [line.partition(";")[2] for line in content.splitlines()]
    assert decisions(reader, path) == ["1 file read as a table with ';' between the values"]


def test_of_rows_that_fit_no_other_delimiter_those_of_wrong_length_are_read_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", b"a,one\nb;two, three, four\nc,five; six\n")
    documents, read_errors = read(records(label="label", columns=("label", "text")), path)
    assert texts(documents) == ["one", "five; six"]
    assert lines_and_reasons(read_errors) == [(2, "wrong_number_of_columns")]
    assert not decisions(records(columns=("label", "text")), path)


def test_a_delimiter_may_have_several_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "movies.dat", b'1::Toy "Story" (1995)::Comedy|Drama\n2::Heat: a film::Action\n')
    reader = records("title", label="id", columns=("id", "title", "kinds"), format="csv", delimiter="::")
    assert texts(read(reader, path)[0]) == ['Toy "Story" (1995)', "Heat: a film"]


@pytest.mark.parametrize("content", [b"text,label,text\nx,a,y\n", b"text,text\n1,2\n"])
def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"rows.csv has several columns named 'text'"):
        read(records(), write(tmp_path / "rows.csv", content))


def test_a_header_is_no_row_where_the_columns_are_given_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", b"\xef\xbb\xbfclass, text\na,one\n")
    documents, _ = read(records(label="class", columns=("class", "text")), path)
    assert [(document.label, document.text) for document in documents] == [("a", "one")]


def test_a_table_without_the_header_that_it_needs_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no column 'text'; .*'a long .*; if the first row is not a header, name the columns in `co"
    ):
        read(records(), write(tmp_path / "rows.csv", b'1,"a long %s"\n' % (b"text " * 100)))


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_zero_is_a_character_of_its_row(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"label,text\na,o\0ne\nb,two\n".replace(b",", b"," if name == "rows.csv" else b"\t"))
    assert texts(read(records(label="label"), path)[0]) == ["o\0ne", "two"]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("rows", b'{"text": "one"}\n{"text": "two"}\n', "jsonl"),
        ("rows.data", b'[\n {"text": "one"},\n {"text": "two"}]', "json"),
        ("rows.log", b'{\n "text": "one"\n}\n{"text":\n "two"}', "json"),
        ("rows.txt.gz", gzip.compress(b"text;n\none;1\ntwo;2\n", mtime=0), "csv"),
        ("rows.out", b"n|text\n1|one\n2|two\n", "psv"),
    ],
)
def test_a_format_is_found_where_no_ending_tells(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    path = write(tmp_path / name, content)
    assert texts(read(records(), path)[0]) == ["one", "two"]
    assert f"1 file read as {found}" in decisions(records(), path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jl", "rows.ndjson", "rows.txt", "rows.csv"])
def test_a_format_that_is_given_is_that_of_any_ending(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'{"text": "one"}\nbroken\n{"text": "two"}\n')
    documents, read_errors = read(records(format="jsonl"), path)
    assert texts(documents) == ["one", "two"]
    assert lines_and_reasons(read_errors) == [(2, "malformed_json")]


def test_json_lines_that_are_written_for_people_are_read_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", b'{\n  "text": "one"\n}\n{\n  "text": "two"\n}\n')
    assert texts(read(records(), path)[0]) == ["one", "two"]


def test_a_file_of_any_other_kind_says_which_key_to_set(tmp_path: Path) -> None:
    _, read_errors = read(records(), write(tmp_path / "rows.txt", b"just one column\nof text\n"))
    assert [read_error.reason for read_error in read_errors] == ["unknown_format"]
    assert "set the reader's `format`" in read_errors[0].detail


def test_the_line_in_which_excel_names_the_delimiter_is_no_row(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 'sep=;\r\nlabel;text\r\na;1,5 €\r\nb;"zwei\nZeilen"\r\n'.encode("utf-16"))
    documents, read_errors = read(records(label="label"), path)
    assert [(document.line, document.text) for document in documents] == [(3, "1,5 €"), (4, "zwei\nZeilen")]
    assert not read_errors


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_carriage_return_within_a_line_is_a_character(tmp_path: Path, name: str) -> None:
    content = io.StringIO()
    writer = csv.writer(content, delimiter="," if name == "rows.csv" else "\t", lineterminator="\n")
    writer.writerows([["label", "text"], ["a", "one\rtwo"], ["b", 'so-called "three"\rfour'], ["c", "five\r"]])
    documents, read_errors = read(records(label="label"), write(tmp_path / name, content.getvalue().encode()))
    assert [text.rstrip("\r") for text in texts(documents)] == ["one\rtwo", 'so-called "three"\rfour', "five"]
    assert not read_errors


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_delimiters_after_the_last_column_are_ignored(tmp_path: Path, name: str) -> None:
    content = b"label,text\na,one,,\nb,two\nc,three,,more\nd\n".replace(b",", b"," if name == "rows.csv" else b"\t")
    documents, read_errors = read(records(label="label"), write(tmp_path / name, content))
    assert texts(documents) == ["one", "two"]
    assert lines_and_reasons(read_errors) == [(4, "wrong_number_of_columns"), (5, "wrong_number_of_columns")]


def test_the_first_value_may_be_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    long = 'a line, and "another" one\n' * 20_000
    content = io.StringIO()
    csv.writer(content, delimiter="\t").writerows([["label", "text"], ["a", long], ["b", "two"]])
    documents, read_errors = read(records(label="label"), write(tmp_path / "rows.tsv", content.getvalue().encode()))
    assert texts(documents) == [long, "two"]
    assert not read_errors
