import gzip
import zipfile
from pathlib import Path

import pytest

from lmcore.config.collect import ReadingLimits
from lmcore.config.readers import WholeFiles
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.source_file import SourceFile
from tests.lmcore.text.sources.reader import lines_and_reasons, read, source, texts, write

WHOLE = WholeFiles(kind="whole_files", encoding=None, divide=None)
STORY = "The lighthouse keeper counted the waves every evening, and wrote their number into a book. "
PAGE = f"""<html><head><title>Waves</title><meta charset="%s"></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Shop</a></li></ul></nav>
<article><h1>On waves</h1><p>{STORY * 3}</p><p>Café waves, naïve waves. {STORY}</p></article>
<div class="comments"><p>Nice one!</p></div>
<footer><p>Copyright by nobody, all cookies reserved</p></footer></body></html>"""


def read_named(folder: Path, *names: str) -> list[object]:
    limits = ReadingLimits(max_document_bytes=10**6, max_unpacked_bytes=10**7)
    return list(read_files(source(WHOLE), [SourceFile(name, folder / name, 0) for name in names], limits))


def test_each_file_is_a_document_labeled_with_its_first_folder(tmp_path: Path) -> None:
    names = ("prose/a.txt", "top.md", "verse/deep/b", "verse/c.txt.gz")
    for name in names:
        write(tmp_path / name, gzip.compress(name.encode()) if name.endswith(".gz") else name.encode())
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("alone.txt", "alone.txt")
        archive.writestr("essays/d.txt", "essays/d.txt")
    found = read_named(tmp_path, *names, "more.zip")
    assert [(item.path, item.label, item.name, item.text, item.kind) for item in found] == [  # type: ignore[attr-defined]
        ("prose/a.txt", "prose", "a", "prose/a.txt", "file"),
        ("top.md", None, "top", "top.md", "file"),
        ("verse/deep/b", "verse", "b", "verse/deep/b", "file"),
        ("verse/c.txt.gz", "verse", "c", "verse/c.txt.gz", "file"),
        ("more.zip/alone.txt", None, "alone", "alone.txt", "file"),
        ("more.zip/essays/d.txt", "essays", "d", "essays/d.txt", "file"),
    ]


def test_unusable_files_are_located_and_lose_nothing_else(tmp_path: Path) -> None:
    contents = {
        "bad.txt": b"one\ncaf\xe9",
        "blank.txt": b" \n",
        "empty.txt": b"",
        "good.txt": "é\r\nnext\rlast".encode(),
        "long.txt": b"x" * 101,
        "marked.txt": b"\xef\xbb\xbf" + b"x" * 100,
        "wide.txt": "\ufeffwide 🙂".encode("utf-16-be"),
    }
    documents, read_errors = read(
        WHOLE, *(write(tmp_path / name, content) for name, content in contents.items()), max_document_bytes=100
    )
    assert texts(documents) == ["é\nnext\nlast", "x" * 100, "wide 🙂"]
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("bad.txt", 2, "not_unicode"),
        ("blank.txt", None, "empty_text"),
        ("empty.txt", None, "empty_file"),
        ("long.txt", None, "too_long"),
    ]


def test_markdown_stays_as_it_is(tmp_path: Path) -> None:
    text = "# Title\n\n* <b>one</b>\n* [two](three)\n"
    assert texts(read(WHOLE, write(tmp_path / "notes.md", text.encode()))[0]) == [text]


@pytest.mark.parametrize(
    ("name", "encoding", "mark"),
    [
        ("page.html", "utf-8", b""),
        ("page.HTM", "iso-8859-1", b""),
        ("page.xhtml", "windows-1252", b""),
        ("page.html.gz", "utf-16-le", b"\xff\xfe"),
    ],
)
def test_of_a_web_page_the_main_text_is_read(tmp_path: Path, name: str, encoding: str, mark: bytes) -> None:
    content = mark + (PAGE % encoding).encode(encoding)
    (document,), read_errors = read(
        WHOLE, write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    )
    assert "Café waves, naïve waves." in document.text
    assert document.text.count("lighthouse keeper") == 4
    assert not any(word in document.text for word in ("Shop", "cookies", "Nice one", "<"))
    assert document.name == "page"
    assert not read_errors


def test_a_page_that_says_latin_1_is_read_as_browsers_do(tmp_path: Path) -> None:
    page = (PAGE % "ISO-8859-1").replace("naïve waves", "\u201cnaïve\u201d waves")
    (document,), _ = read(WHOLE, write(tmp_path / "page.html", page.encode("windows-1252")))
    assert "Café waves, \u201cnaïve\u201d waves." in document.text


def test_a_page_that_declares_itself_in_xml_is_read(tmp_path: Path) -> None:
    page = '<?xml version="1.0" encoding="utf-8"?>\n' + PAGE % "utf-8"
    (document,), _ = read(WHOLE, write(tmp_path / "page.xhtml", page.encode()))
    assert "Café waves, naïve waves." in document.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html><body></body></html>", "empty_text"),
        (b"", "empty_file"),
        ((PAGE % "utf-8").encode("latin-1"), "not_unicode"),
        ((PAGE % "no-such-encoding").encode("latin-1"), "not_unicode"),
        ((PAGE % "shift_jis").encode("latin-1"), "not_unicode"),
        (b"<div>text" * 100_000, "malformed_html"),
        (bytes(1_000), "not_text"),
    ],
)
def test_a_page_without_text_costs_no_other(tmp_path: Path, content: bytes, reason: str) -> None:
    good = write(tmp_path / "good.txt", b"good")
    documents, read_errors = read(WHOLE, write(tmp_path / "page.html", content), good)
    assert texts(documents) == ["good"]
    assert lines_and_reasons(read_errors) == [(None, reason)]
