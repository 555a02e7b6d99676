# ruff: noqa: RUF001 (letters of many alphabets)
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lmcore.config.collect import ReadingLimits
from lmcore.config.readers import ParallelLines, TextLines, WholeFiles
from lmcore.text.sources.input_files.encodings import detect, utf8_chunks
from lmcore.text.sources.notes import Notes, describe_note, merge_notes
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.source_file import SourceFile
from tests.lmcore.text.sources.reader import PACK, lines_and_reasons, read, records, source, texts, write

LINES = TextLines(kind="lines", label=None, encoding=None)
TEXTS = {
    "The café charges £5 – and it’s worth it. “Really?” he asked.": ["cp1252", "mac_roman"],
    "Le café est près de la rivière où nous avons mangé des crêpes. Élise était très fatiguée.": ["latin-1", "cp850"],
    "Die Straße führt über die Brücke zum Schloß, wo die Mädchen schöne Kränze flochten.": ["cp1252", "latin-1"],
    "El niño comió una piña en el jardín, ¿y qué? ¡Mañana será otro día!": ["cp1252"],
    "Wczoraj wieczorem poszliśmy nad rzekę, żeby zobaczyć, jak płyną łodzie.": ["cp1250", "iso8859_2"],
    "Příliš mnoho dětí šlo ráno k řece, kde stála malá loďka.": ["cp1250", "iso8859_2"],
    "Reggel korán a folyóhoz ment, és látott egy kis csónakot. Nő ült benne, hűvös volt.": ["cp1250"],
    "Sabah erkenden nehre gitti ve küçük bir tekne gördü. Şimdi çağırıyor.": ["cp1254"],
    "Anksti ryte jis nuėjo prie upės ir pamatė mažą valtį. Ąžuolas šlama.": ["cp1257"],
    "Рано утром он пошёл к реке и увидел маленькую лодку. Там никого не было.": ["cp1251", "koi8_r", "cp866"],
    "Вранці він пішов до річки і побачив маленький човен. Там нікого не було.": ["cp1251", "koi8_u"],
    "Το πρωί πήγε στο ποτάμι και είδε μια μικρή βάρκα. Δεν ήταν κανείς εκεί.": ["cp1253"],
    "בבוקר הוא הלך לנהר וראה סירה קטנה. לא היה שם איש, רק מכתב אחד.": ["cp1255"],
    "كان هناك رجل يعيش في قرية صغيرة بجانب النهر وكان يحب القراءة كثيرا.": ["cp1256"],
    "เช้าวันหนึ่งเขาเดินไปที่แม่น้ำและเห็นเรือลำเล็กลำหนึ่ง": ["cp874"],
    "清晨他走到河边，看见了一只小船。船上没有人，只有一封信。": ["gbk", "gb18030", "utf-16-le", "utf-16-be"],
    "清晨他走到河邊，看見了一隻小船。船上沒有人，只有一封信。": ["big5"],
    "朝早くに彼は川へ行った。そこには小さな船があった。": ["shift_jis", "euc_jp", "iso2022_jp"],
    "아침 일찍 그는 강가로 갔다. 거기에는 작은 배가 있었다.": ["euc_kr", "cp949"],
}
TEXTS_OF_WORDS = [word for text in TEXTS for word in text.split() if "а" <= word[0] <= "я" and "і" not in word] * 10
ENCODED = [(text, encoding) for text, encodings in TEXTS.items() for encoding in encodings]


def decoded(content: bytes, *, buffer_bytes: int = 8192) -> tuple[bytes, list[str]]:
    """A file in UTF-8, and the encodings that were found."""
    found: list[str] = []
    file = io.BufferedReader(io.BytesIO(content), buffer_bytes)  # type: ignore[arg-type]
    return b"".join(utf8_chunks(file, None, lambda encoding: found.append(encoding.name))), found


@pytest.mark.parametrize(("text", "encoding"), ENCODED)
@pytest.mark.parametrize("n_lines", [1, 40])
def test_the_encodings_of_many_languages_are_detected(text: str, encoding: str, n_lines: int) -> None:
    content = (text + "\n") * n_lines
    assert decoded(content.encode(encoding))[0].decode() == content


@pytest.mark.parametrize(("text", "encoding"), ENCODED[::3])
def test_detection_depends_on_no_chunk_and_waits_for_the_first_byte_above_ascii(text: str, encoding: str) -> None:
    before = "" if encoding.startswith("utf-16") else "plain ASCII,\n" * 7_000
    content = (before + text + "\n").encode(encoding)
    expected = decoded(content)
    assert expected[0].decode() == before + text + "\n"
    for n_bytes in (1_000, 4_097):
        assert decoded(content, buffer_bytes=n_bytes) == expected


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_is_believed_whatever_is_given(tmp_path: Path, mark: str) -> None:
    file = write(tmp_path / "text.txt", "naïve 🙂\nzwei\n".encode(mark))
    for given_encoding in (None, "latin-1", "utf-8"):
        documents, read_errors = read(TextLines(kind="lines", label=None, encoding=given_encoding), file)
        assert texts(documents) == ["naïve 🙂", "zwei"]
        assert not read_errors


def test_a_broken_byte_in_utf_8_costs_its_line_and_no_other(tmp_path: Path) -> None:
    content = "é\n".encode() * 3 + b"caf\xe9\n" + "ü 🙂\n".encode()
    documents, read_errors = read(LINES, write(tmp_path / "text.txt", content))
    assert texts(documents) == ["é", "é", "é", "ü 🙂"]
    assert lines_and_reasons(read_errors) == [(4, "not_unicode")]
    assert "name it in the reader's `encoding`" in read_errors[0].detail


@pytest.mark.parametrize("encoding", ["latin-1", "cp1250", "cp1252", "mac_roman"])
@pytest.mark.parametrize("n_lines", [400, 5_000])
@pytest.mark.parametrize("text", ["é", "Le café est près de la rivière où nous avons mangé."])
def test_lines_of_utf_8_before_many_of_single_bytes_are_kept(
    tmp_path: Path, encoding: str, n_lines: int, text: str
) -> None:
    good, bad = f"{text}\n", "déjà là, né à l'été\n".replace("à", "à" if encoding != "cp1250" else "á")
    file = write(tmp_path / "text.txt", (good * 200).encode() + (bad * n_lines).encode(encoding))
    documents, read_errors = read(LINES, file)
    assert texts(documents) == [text] * 200
    assert lines_and_reasons(read_errors) == [(line, "not_unicode") for line in range(201, 201 + n_lines)]


def test_single_words_that_happen_to_be_utf_8_do_not_make_a_mixture() -> None:
    words = ["раб", *TEXTS_OF_WORDS] * 3
    for encoding in ("cp866", "cp1251", "koi8_r"):
        assert decoded("\n".join(words).encode(encoding))[0].decode() == "\n".join(words)


@pytest.mark.parametrize("content", [b"one\xff\n", b"\x80\x81\x82\n", random.Random(1).randbytes(5_000)])
def test_what_is_no_text_is_not_taken_for_one(content: bytes) -> None:
    assert decoded(content) == (content, [])


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\ufeff\0"), min_size=1), n_cut=st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_utf_8_is_never_taken_for_anything_else(text: str, n_cut: int) -> None:
    content = text.encode()
    assert decoded(content)[0] == content
    whole = "è".encode() + content
    assert str(detect(whole[: len(whole) - n_cut])) == "utf-8"


@pytest.mark.parametrize("ending", PACK)
def test_every_reader_takes_an_encoding(tmp_path: Path, ending: str) -> None:
    def packed(name: str, content: str, encoding: str) -> Path:
        return write(tmp_path / f"{name}{ending}", PACK[ending](content.encode(encoding)))

    text = packed("text.txt", "Ä", "utf-16-le")
    assert texts(read(TextLines(kind="lines", label=None, encoding="utf-16-le"), text)[0]) == ["Ä"]
    assert texts(read(WholeFiles(kind="whole_files", encoding="utf-16-le", divide=None), text)[0]) == ["Ä"]
    pair = ParallelLines(kind="parallel_lines", encoding="iso8859-15")
    ((document,), _) = read(pair, packed("a", "5 €\n", "iso8859-15"), packed("b", "fünf €\n", "iso8859-15"))
    assert (document.text, document.target) == ("5 €", "fünf €")
    for name, content in (("a.csv", "text\n5 €\n"), ("a.json", '[{"text": "5 €"}]'), ("a.tsv", "text\n5 €\n")):
        assert texts(read(records(encoding="iso8859-15"), packed(name, content, "iso8859-15"))[0]) == ["5 €"]


def test_what_a_given_encoding_does_not_know_costs_its_line(tmp_path: Path) -> None:
    content = "第一章\n".encode("gbk") + b"\xff\n" + "船上没有人\n".encode("gbk")
    documents, read_errors = read(
        TextLines(kind="lines", label=None, encoding="gb18030"), write(tmp_path / "text", content)
    )
    assert texts(documents) == ["第一章", "船上没有人"]
    assert lines_and_reasons(read_errors) == [(2, "not_unicode")]


@pytest.mark.parametrize("name", ["no-such", "base64", "rot13", "punycode", ""])
def test_an_encoding_that_does_not_exist_is_an_error_of_the_settings(name: str) -> None:
    with pytest.raises(ValidationError, match="unknown encoding"):
        TextLines(kind="lines", label=None, encoding=name)


def test_what_was_detected_is_said_and_kept(tmp_path: Path) -> None:
    limits = ReadingLimits(max_document_bytes=10**6, max_unpacked_bytes=10**6)
    summaries = []
    for name, text in (("a", "Größe, Länge, Höhe"), ("b", "café"), ("c", "für Möwen"), ("d", "ASCII")):
        notes = Notes()
        file = write(tmp_path / name, text.encode("latin-1" if name != "b" else "utf-8"))
        assert list(read_files(source(LINES), [SourceFile(name, file, 0)] * 2, limits, notes))
        summaries.append(notes.summary())
    assert [describe_note(*item) for item in merge_notes(summaries).items()] == [
        "2 files read as windows-1252 (detected, 0.83)"
    ]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_end_in_any_way(tmp_path: Path, end: str) -> None:
    file = write(tmp_path / "text.txt", end.join(["one", "two", "", "three", ""]).encode())
    documents, _ = read(LINES, file)
    assert [(document.line, document.text) for document in documents] == [(1, "one"), (2, "two"), (4, "three")]
    pair = ParallelLines(kind="parallel_lines", encoding=None)
    assert [(document.text, document.target) for document in read(pair, file, file)[0]] == [
        (word, word) for word in ("one", "two", "three")
    ]


def test_mixed_line_ends_all_end_lines_but_not_of_two_files_side_by_side(tmp_path: Path) -> None:
    file = write(tmp_path / "text.txt", b"one\ntwo\rthree\r\nfour")
    assert texts(read(LINES, file)[0]) == ["one", "two", "three", "four"]
    documents, _ = read(ParallelLines(kind="parallel_lines", encoding=None), file, file)
    assert texts(documents) == ["one", "two\rthree", "four"]
