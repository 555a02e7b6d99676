import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lmcore.config.collect import ReadingLimits
from lmcore.config.readers import WholeFiles
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.readers.division import Part, divide_text, segments_of_text
from lmcore.text.sources.source_file import SourceFile
from tests.lmcore.text.sources.reader import PACK, read, source, texts, write

SIZE = {"kind": "size", "max_characters": 100}
HEADINGS = {"kind": "headings", "pattern": None}
BLANK = {"kind": "blank_lines", "min_lines": 2}
PLAY = "THE KEEPER\n\nFIRST:\nWho counts the waves?\n\nSECOND:\nI do.\n\n\n\nTHE STORM\n\nFIRST:\nStill?\n"


def whole(divide: dict[str, Any] | None) -> WholeFiles:
    return WholeFiles.model_validate({"kind": "whole_files", "encoding": None, "divide": divide})


def parts_of(text: str, divide: dict[str, Any], max_bytes: int = 10**6) -> list[Part]:
    division = whole(divide).divide
    assert division is not None
    found = list(divide_text(segments_of_text(text), division, max_bytes))
    assert all(isinstance(part, Part) for part in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_play_is_divided_and_its_parts_are_found_again(tmp_path: Path, packed: str) -> None:
    path = write(tmp_path / f"play.txt{packed}", PACK[packed](PLAY.encode()))
    documents, read_errors = read(whole(BLANK), path)
    assert not read_errors
    assert [(document.name, document.line, document.kind) for document in documents] == [
        ("play#1", 1, "part"),
        ("play#2", 11, "part"),
    ]
    assert documents[1].text == "THE STORM\n\nFIRST:\nStill?"


def test_headings_are_those_of_markdown_and_no_comments_in_code() -> None:
    text = (
        "Preface.\n# One\n## Sub\ntext\n```\n# no heading\n```\nTwo\n===\nmore\n\nThree\n---\n\n"
        "~~~\n# no\n~~~\n#hashtag\n- item\n---\n#### Last\nend"
    )
    assert [part.text.split("\n")[0] for part in parts_of(text, HEADINGS)] == [
        "Preface.",
        "# One",
        "Two",
        "Three",
        "#### Last",
    ]


def test_headings_are_what_a_pattern_finds() -> None:
    parts = parts_of("A book\nCHAPTER 1\nOne.\nCHAPTER 2\n\nTwo. CHAPTER\n", HEADINGS | {"pattern": "^CHAPTER "})
    assert [(part.line, part.text) for part in parts] == [
        (1, "A book"),
        (2, "CHAPTER 1\nOne."),
        (4, "CHAPTER 2\n\nTwo. CHAPTER"),
    ]


def test_a_part_ends_at_the_best_border() -> None:
    words = "word " * 14
    assert [part.text[-9:] for part in parts_of(f"{words}end.\n\n{words}\n{words}", SIZE)] == [
        "word end.",
        "word word",
        "word word",
    ]
    assert [len(part.text) for part in parts_of("x" * 250, SIZE)] == [100, 100, 50]
    sentence = "One sentence of a text that has no line. "
    assert {part.text for part in parts_of(sentence * 8, SIZE)} == {(sentence * 2).rstrip()}


characters = st.sampled_from(
    ["a", "é", "\U0001f30a", " ", "\n", "\n\n", "\n\n\n", "\t", ".", "# ", "\n# ", "word ", "```\n"]
)


@given(
    st.lists(characters, max_size=400).map("".join),
    st.sampled_from([SIZE, HEADINGS, HEADINGS | {"pattern": "^a"}, BLANK, BLANK | {"min_lines": 1}]),
)
def test_parts_are_the_text_and_begin_where_they_say(text: str, divide: dict[str, Any]) -> None:
    parts = parts_of(text, divide)
    rest, lines = text, text.split("\n")
    for part in parts:
        before, found, rest = rest.partition(part.text)
        assert found
        assert not before.strip()
        first, *others = part.text.split("\n")
        assert lines[part.line - 1].find(first) >= 0
        assert not others or lines[part.line - 1].endswith(first)
        assert divide != SIZE or len(part.text) <= 100
    assert not rest.strip()


def test_bytes_that_are_no_text_cost_their_line_alone(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf# One\r\nfirst\r\xe4\xf6\xff\n# Two\n" + "é".encode() * 40_000 + b"\n# Three\n\xc3"
    documents, read_errors = read(WholeFiles(kind="whole_files", encoding="utf-8", divide=whole(HEADINGS).divide),
                             write(tmp_path / "a.md", content))  # fmt: skip
    assert [(document.text[:10], document.line) for document in documents] == [
        ("# One\nfirs", 1),
        ("# Two\néééé", 4),
        ("# Three", 6),
    ]
    assert len(documents[1].text) == 40_006
    assert [(read_error.line, read_error.reason) for read_error in read_errors] == [
        (3, "not_unicode"),
        (7, "not_unicode"),
    ]


def test_a_part_that_is_too_long_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", b"# One\n" + b"word\n" * 1_000 + b"# Two\nshort")
    documents, read_errors = read(whole(HEADINGS), path, max_document_bytes=1_000)
    assert texts(documents) == ["# Two\nshort"]
    assert [(read_error.line, read_error.reason) for read_error in read_errors] == [(1, "too_long")]
    assert "divide by size" in read_errors[0].detail


def test_what_is_no_plain_text_is_divided_as_well(tmp_path: Path) -> None:
    page = "<h1>Waves</h1>" + "<p>One sentence of a page.</p>" * 10
    with zipfile.ZipFile(tmp_path / "pages.zip", "w") as archive:
        archive.writestr("sea/page.html", page)
    documents, read_errors = read(whole(SIZE), tmp_path / "pages.zip")
    assert not read_errors
    assert [document.name for document in documents] == ["page#1", "page#2", "page#3"]
    assert {(document.label, document.line) for document in documents} == {("sea", None)}
    documents, read_errors = read(
        whole(SIZE), write(tmp_path / "blank.txt", b" \n"), write(tmp_path / "zeros", bytes(9))
    )
    assert [read_error.reason for read_error in read_errors] == ["empty_text", "not_text"]


@pytest.mark.parametrize("divide", [SIZE | {"max_characters": 10_000}, BLANK])
@pytest.mark.parametrize("line", [b"word " * 2_000, b"word " * 2_000 + b"\n\n\n"])
def test_a_long_file_is_never_held_whole(tmp_path: Path, divide: dict[str, Any], line: bytes) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        for _ in range(600):
            file.write(line)
    limits = ReadingLimits(max_document_bytes=100_000, max_unpacked_bytes=10**9)
    tracemalloc.start()
    n_documents = sum(1 for _ in read_files(source(whole(divide)), [SourceFile("long.txt", path, 0)], limits))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_documents >= 1
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "divide",
    [SIZE | {"max_characters": 0}, HEADINGS | {"pattern": "("}, BLANK | {"min_lines": 0}, {"kind": "pages"}],
)
def test_a_division_that_cannot_be_made_is_refused(divide: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        whole(divide)


def test_divided_files_say_what_the_whole_file_says(tmp_path: Path) -> None:
    path = write(tmp_path / "play.txt", PLAY.encode() * 30)
    parts = texts(read(whole({"kind": "size", "max_characters": 300}), path)[0])
    assert "\n".join(parts).split() == texts(read(whole(None), path)[0])[0].split()
