import gzip
from pathlib import Path

import pytest

from lmcore.config.readers import ParallelLines, TextLines
from tests.lmcore.text.sources.reader import lines_and_reasons, read, texts, write

LINES = TextLines(kind="lines", label=None, encoding=None)
PAIRS = ParallelLines(kind="parallel_lines", encoding=None)
ENGLISH = b"A dog runs .\r\n\nA man sleeps .\nTwo cats .\nlast"
GERMAN = b"Ein Hund l\xc3\xa4uft .\r\n\n\nZwei K\xe4tzchen .\nletzte\n"


def test_each_line_is_a_document_in_the_split_and_under_the_license_of_its_source(tmp_path: Path) -> None:
    documents, read_errors = read(LINES, write(tmp_path / "text.txt", b"\xef\xbb\xbf" + ENGLISH))
    assert [(document.line, document.text, document.split) for document in documents] == [
        (1, "A dog runs .", "test"),
        (3, "A man sleeps .", "test"),
        (4, "Two cats .", "test"),
        (5, "last", "test"),
    ]
    assert {(document.kind, document.path, document.license) for document in documents} == {
        ("line", "text.txt", "CC0-1.0")
    }
    assert not read_errors


def test_a_line_that_is_not_unicode_costs_no_other(tmp_path: Path) -> None:
    lines = TextLines(kind="lines", label=None, encoding="utf-8")
    documents, read_errors = read(lines, write(tmp_path / "text.txt", b"one\ncaf\xe9\nthree\n\xed\xa0\x80\nfive"))
    assert texts(documents) == ["one", "three", "five"]
    assert lines_and_reasons(read_errors) == [(2, "not_unicode"), (4, "not_unicode")]
    assert "byte 4" in read_errors[0].detail


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_is_as_long_as_its_limit_or_too_long_by_one_byte(tmp_path: Path, end: bytes) -> None:
    content = end.join([b"a" * 10, b"b" * 11, b"c" * 300_000, b"d", b"e" * 11, b"f" * 10])
    documents, read_errors = read(LINES, write(tmp_path / "text.txt", content), max_document_bytes=10)
    assert texts(documents) == ["a" * 10, "d", "f" * 10]
    assert lines_and_reasons(read_errors) == [(2, "too_long"), (3, "too_long"), (5, "too_long")]


def test_an_empty_file_is_a_read_error_and_one_of_empty_lines_is_none(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.txt", b""),
        write(tmp_path / "b.txt", b"\xef\xbb\xbf"),
        write(tmp_path / "c", b"\n \n"),
    ]
    documents, read_errors = read(LINES, *files)
    assert not documents
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("a.txt", "empty_file"),
        ("b.txt", "empty_file"),
    ]


def test_lines_of_two_files_belong_together(tmp_path: Path) -> None:
    files = write(tmp_path / "text.en", ENGLISH), write(tmp_path / "text.de.gz", gzip.compress(GERMAN))
    documents, read_errors = read(PAIRS, *files)
    assert [(document.line, document.text, document.target) for document in documents] == [
        (1, "A dog runs .", "Ein Hund läuft ."),
        (5, "last", "letzte"),
    ]
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("text.de.gz", 3, "empty_text"),
        ("text.de.gz", 4, "not_unicode"),
    ]


def test_a_pair_with_a_line_that_is_too_long_costs_no_other(tmp_path: Path) -> None:
    files = write(tmp_path / "a", b"1\n" + b"2" * 99 + b"\n3\n"), write(tmp_path / "b", b"eins\nzwei\ndrei\n")
    documents, read_errors = read(PAIRS, *files, max_document_bytes=10)
    assert [(document.text, document.target) for document in documents] == [("1", "eins"), ("3", "drei")]
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("a", 2, "too_long")
    ]


@pytest.mark.parametrize(("first", "second", "shorter"), [(b"a\n", b"a\nb\n", "text.en"), (b"a\nb", b"a", "text.de")])
def test_files_of_different_length_are_refused(tmp_path: Path, first: bytes, second: bytes, shorter: str) -> None:
    files = write(tmp_path / "text.en", first), write(tmp_path / "text.de", second)
    with pytest.raises(ValueError, match=rf"{shorter} has no line 2, but the other file has"):
        read(PAIRS, *files)


def test_blank_lines_at_the_end_of_one_of_two_files_belong_to_nothing(tmp_path: Path) -> None:
    documents, read_errors = read(
        PAIRS, write(tmp_path / "text.en", b"a\nb\n"), write(tmp_path / "text.de", b"A\nB\n\n \n")
    )
    assert [(document.text, document.target) for document in documents] == [("a", "A"), ("b", "B")]
    assert not read_errors
    with pytest.raises(ValueError, match=r"text.en has no line 4"):
        read(PAIRS, tmp_path / "text.en", write(tmp_path / "more.de", b"A\nB\n\nC\n"))


def test_parallel_lines_are_those_of_two_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 1 files; parallel_lines reads two"):
        read(PAIRS, write(tmp_path / "text.en", ENGLISH))


def test_of_a_pair_with_a_damaged_file_the_lines_before_the_damage_are_kept(tmp_path: Path) -> None:
    lines = [f"line {number} of many" for number in range(20_000)]
    plain = "\n".join(lines).encode()
    packed = gzip.compress(plain)
    files = write(tmp_path / "a", plain), write(tmp_path / "b.gz", packed[: len(packed) // 2])
    documents, read_errors = read(PAIRS, *files)
    assert 1_000 < len(documents) < 20_000
    assert all(document.text == document.target for document in documents)
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("b.gz", len(documents) + 1, "damaged_file")
    ]


def test_of_a_pair_with_a_missing_file_only_that_is_reported(tmp_path: Path) -> None:
    documents, read_errors = read(PAIRS, write(tmp_path / "a", b"1\n2\n"), tmp_path / "nowhere")
    assert not documents
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("nowhere", None, "unreadable_file")
    ]
