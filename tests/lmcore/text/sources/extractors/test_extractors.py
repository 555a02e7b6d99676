import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest

from lmcore.config.readers import WholeFiles
from tests.lmcore.text.sources.reader import lines_and_reasons, read, texts, write

WHOLE = WholeFiles(kind="whole_files", encoding=None, divide=None)
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def zipped(parts: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


def word(body: str) -> bytes:
    return zipped({"word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>"})


def pdf(*pages: str) -> bytes:
    """A PDF as small as it can be: a page with a line of text each."""
    first = 4
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in enumerate(pages):
        stream = f"BT /F 12 Tf 50 700 Td ({page}) Tj ET" if page else ""
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F 3 0 R >> >> "
            f"/Contents {first + 2 * number + 1} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    content, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer << /Size {size} /Root 1 0 R >>\n"
    return f"{content}{end}startxref\n{len(content)}\n%%EOF".encode("latin-1")


def test_a_word_document_gives_paragraphs_lists_and_tables_in_their_order(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("On waves", 1)
    paragraph = document.add_paragraph("A wa")
    paragraph.add_run("ve, ").bold = True
    paragraph.add_run("naïve\tas\nit is.")
    document.add_paragraph("first", style="List Bullet")
    document.add_paragraph("second", style="List Number")
    table = document.add_table(2, 2)
    for row, line in zip(table.rows, ("ab", "cd"), strict=True):
        for cell, text in zip(row.cells, line, strict=True):
            cell.text = text
    table.cell(1, 1).add_paragraph("more")
    document.add_paragraph("The end.")
    document.sections[0].header.paragraphs[0].text = "page header"
    path = tmp_path / "waves.docx"
    document.save(path)
    (found,), read_errors = read(WHOLE, path)
    assert not read_errors
    assert found.text == ("On waves\n\nA wave, naïve\tas\nit is.\n\n- first\n- second\n\na | b\nc | d more\n\nThe end.")
    assert found.name == "waves"


def test_of_a_word_document_what_was_deleted_or_repeated_is_not_read(tmp_path: Path) -> None:
    body = """<w:p><w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>
    <w:ins><w:r><w:t>added</w:t></w:r></w:ins><w:r><w:instrText>HYPERLINK x</w:instrText></w:r>
    <w:r><AlternateContent><Choice><w:t> box</w:t></Choice><Fallback><w:t> box</w:t></Fallback></AlternateContent></w:r>
    </w:p>"""
    assert texts(read(WHOLE, write(tmp_path / "a.docx", word(body)))[0]) == ["kept added box"]


def test_an_open_document_text_is_read(tmp_path: Path) -> None:
    content = """<?xml version="1.0"?><office:document-content xmlns:office="o" xmlns:text="t" xmlns:table="b">
    <office:body><office:text><text:h>Title</text:h>
    <text:p>One<text:s text:c="3"/>two <text:span>th</text:span>ree.<text:note>
    <text:note-citation>1</text:note-citation>
    <text:note-body><text:p>Note.</text:p></text:note-body></text:note></text:p>
    <text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>
    <table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>
    <table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>
    </office:text></office:body></office:document-content>"""
    (found,), read_errors = read(WHOLE, write(tmp_path / "a.odt", zipped({"content.xml": content})))
    assert not read_errors
    assert found.text.split() == ["Title", "One", "two", "three.", "Note.", "-", "item", "a", "|", "b"]
    assert "One   two three." in found.text


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>%s</body></html>'
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<c xmlns="u"><rootfiles><rootfile full-path="O/b.opf"/></rootfiles></c>',
        "O/b.opf": """<package xmlns="http://www.idpf.org/2007/opf"><manifest>
            <item id="c" href="cover.svg" media-type="image/svg+xml"/>
            <item id="two" href="text/2.xhtml" media-type="application/xhtml+xml"/>
            <item id="one" href="text/%31.xhtml" media-type="application/xhtml+xml"/>
            <item id="x" href="../../../etc/passwd" media-type="image/png"/>
            </manifest><spine><itemref idref="c"/><itemref idref="one"/><itemref idref="two"/></spine></package>""",
        "O/text/1.xhtml": page % '<h1>One</h1><a id="p1"/><p>First &eacute; page.</p>',
        "O/text/2.xhtml": page % "<ul><li>Second page.</li></ul>",
    }
    book = write(tmp_path / "book.epub", zipped(parts))
    encryption = '<e><CipherReference URI="O/text/1.xhtml"/></e>'
    parts["META-INF/encryption.xml"] = encryption
    protected = write(tmp_path / "protected.epub", zipped(parts))
    del parts["META-INF/encryption.xml"], parts["O/text/2.xhtml"]
    lacking = write(tmp_path / "lacking.epub", zipped(parts))
    documents, read_errors = read(WHOLE, book, protected, lacking)
    assert texts(documents) == ["One\n\nFirst é page.\n\n- Second page."]
    assert [read_error.reason for read_error in read_errors] == ["encrypted", "damaged_file"]


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    files = (
        write(tmp_path / "a.pdf", pdf("The first page.", "", "The third page.")),
        write(tmp_path / "scan.pdf", pdf("")),
        write(tmp_path / "bad.pdf", b"%PDF-1.4\n" + b"junk" * 20),
    )
    documents, read_errors = read(WHOLE, *files)
    assert texts(documents) == ["The first page.\n\nThe third page."]
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("scan.pdf", "no_text"),
        ("bad.pdf", "damaged_file"),
    ]
    assert "OCR" in read_errors[0].detail


def test_an_encrypted_pdf_is_a_read_error_unless_everybody_may_read_it(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    for password in ("", "secret"):
        writer = pypdf.PdfWriter(io.BytesIO(pdf("Text.")))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
        writer.write(tmp_path / f"{password or 'open'}.pdf")
    documents, read_errors = read(WHOLE, tmp_path / "open.pdf", tmp_path / "secret.pdf")
    assert texts(documents) == ["Text."]
    assert [read_error.reason for read_error in read_errors] == ["encrypted"]


def test_without_pypdf_a_pdf_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    documents, read_errors = read(WHOLE, write(tmp_path / "a.pdf", pdf("Text.")), write(tmp_path / "a.txt", b"good"))
    assert texts(documents) == ["good"]
    assert [(read_error.reason, read_error.detail) for read_error in read_errors] == [
        ("missing_package", "it is a PDF: to read it, pip install pypdf")
    ]


@pytest.mark.parametrize(
    ("notebook", "text"),
    [
        (
            {"cells": [{"cell_type": "markdown", "source": ["# A\n", "b"]}, {"cell_type": "code", "source": "x = 1\n",
             "outputs": [{"text": "OUT"}]}, {"cell_type": "raw", "source": []}], "nbformat": 4},
            "# A\nb\n\nx = 1",
        ),
        ({"worksheets": [{"cells": [{"source": "a"}, {"input": "b"}, {"source": 3}, 4]}]}, "a\n\nb"),
    ],
)  # fmt: skip
def test_a_notebook_gives_its_text_and_code(tmp_path: Path, notebook: Any, text: str) -> None:
    assert texts(read(WHOLE, write(tmp_path / "a.ipynb", json.dumps(notebook).encode()))[0]) == [text]


BOMB = f"<w:p><w:r><w:t>{'x' * 1_000_000}</w:t></w:r></w:p>" * 40
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.docx", word("<w:p/>"), "empty_text"),
        ("a.docx", word(BOMB), "unpacks_too_large"),
        ("a.docx", word(BOMB[:5_000_000]), "too_long"),
        ("a.docx", zipped({"word/document.xml": f"{LAUGHS}<w:t {WORD}>&b;</w:t>"}), "malformed_xml"),
        ("a.docx", zipped({"word/document.xml": "<w:p"}), "damaged_file"),
        ("a.docx", zipped({"other": "x"}), "damaged_file"),
        ("a.docx", b"text", "damaged_file"),
        ("a.docx", b"\xd0\xcf\x11\xe0" + bytes(600), "encrypted"),
        ("a.docx", word("<w:p/>")[:-30], "damaged_file"),
        ("a.docx", b"", "empty_file"),
        ("a.epub", zipped({"META-INF/container.xml": "<c/>"}), "damaged_file"),
        ("a.epub", zipped({"META-INF/container.xml": ""}), "damaged_file"),
        ("a.ipynb", b"{", "malformed_json"),
        ("a.ipynb", b"[" * 100_000, "malformed_json"),
        ("a.ipynb", b"[]", "damaged_file"),
        ("a.txt", pdf("Text."), "unknown_format"),
        ("report", zipped({"a": "b"}), "unknown_format"),
        ("a.doc", b"text", "unknown_format"),
        ("a.rtf", b"{\\rtf1 text}", "unknown_format"),
        ("a.xlsx", zipped({"a": "b"}), "unknown_format"),
        ("a.csv", b"a,b", "unknown_format"),
        ("a.jl", b'{"text": "a"}', "unknown_format"),
        ("a.xml", b"<a>b</a>", "unknown_format"),
        ("a.JPG", b"\xff\xd8\xff", "unknown_format"),
        ("a.dat", b"text\0\0\1\2 more text of a program" * 5, "not_text"),
    ],
)
def test_what_holds_no_text_is_named_and_costs_no_other(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    files = write(tmp_path / name, content), write(tmp_path / "good.txt", b"good")
    documents, read_errors = read(WHOLE, *files, max_unpacked_bytes=30_000_000)
    assert texts(documents) == ["good"]
    assert lines_and_reasons(read_errors) == [(None, reason)]


@pytest.mark.parametrize("name", ["page", "page.txt", "page.php"])
def test_a_web_page_is_known_by_its_beginning(tmp_path: Path, name: str) -> None:
    page = b"\n<!-- x --><!DOCTYPE html><html><body><p>Some text."
    assert texts(read(WHOLE, write(tmp_path / name, page))[0]) == ["Some text."]
