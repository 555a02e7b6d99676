import bz2
import gzip
import lzma
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from lmcore.config.readers import TextLines, WholeFiles
from lmcore.text.documents.document import Document, ReadError
from tests.lmcore.text.sources.reader import PACK, lines_and_reasons, read, records, texts, write

LINES = TextLines(kind="lines", label=None, encoding=None)
WHOLE = WholeFiles(kind="whole_files", encoding=None, divide=None)
PACKED = [ending for ending in PACK if ending]


def many_lines(n_lines: int = 20_000) -> list[str]:
    draw = random.Random(1)
    return [f"line {number} {draw.random()}" for number in range(n_lines)]


def decompressed(ending: str, content: bytes) -> bytes:
    """What the library unpacks of the beginning of a compressed file."""
    decompressors = {
        ".bz2": bz2.BZ2Decompressor,
        ".gz": lambda: zlib.decompressobj(31),
        ".xz": lzma.LZMADecompressor,
        ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
    }
    unpacked: bytes = decompressors[ending]().decompress(content)
    return unpacked


def write_archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def by_path(found: list[Document] | list[ReadError]) -> list[str]:
    return [item.path for item in found]


@pytest.mark.parametrize("ending", PACKED)
def test_of_a_file_that_is_cut_off_every_line_before_the_cut_is_kept(tmp_path: Path, ending: str) -> None:
    packed = PACK[ending]("\n".join(many_lines()).encode())
    cut = packed[: len(packed) * 2 // 3]
    whole_lines = decompressed(ending, cut).decode().split("\n")[:-1]
    documents, read_errors = read(LINES, write(tmp_path / f"text{ending}", cut))
    assert len(whole_lines) > 5_000
    assert texts(documents) == whole_lines
    assert lines_and_reasons(read_errors) == [(len(whole_lines) + 1, "damaged_file")]
    assert "cut off" in read_errors[0].detail


@pytest.mark.parametrize("ending", PACKED)
def test_of_a_damaged_file_every_line_before_the_damage_is_read(tmp_path: Path, ending: str) -> None:
    packed = PACK[ending]("\n".join(many_lines()).encode())
    position = len(packed) * 2 // 3
    damaged = packed[:position] + b"\xff" * 2_000 + packed[position + 2_000 :]
    whole_lines = decompressed(ending, packed[:position]).decode().split("\n")[:-1]
    documents, read_errors = read(LINES, write(tmp_path / f"text{ending}", damaged))
    assert texts(documents)[: len(whole_lines)] == whole_lines
    assert read_errors[-1].reason == "damaged_file"
    assert read_errors[-1].line is not None
    assert read_errors[-1].line > len(whole_lines)


def test_the_last_line_before_a_damage_is_kept_to_the_byte(tmp_path: Path) -> None:
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)
    packed = stored.compress(b"one\ntwo\nthree\n") + stored.flush(zlib.Z_FULL_FLUSH)
    documents, read_errors = read(LINES, write(tmp_path / "text.gz", packed + b"\xff" * 300))
    assert texts(documents) == ["one", "two", "three"]
    assert lines_and_reasons(read_errors) == [(4, "damaged_file")]


def test_a_wrong_checksum_is_a_read_error_after_all_lines(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"one\ntwo\n"))
    packed[-8] ^= 1
    documents, read_errors = read(LINES, write(tmp_path / "text.gz", bytes(packed)))
    assert texts(documents) == ["one", "two"]
    assert lines_and_reasons(read_errors) == [(3, "damaged_file")]


@pytest.mark.parametrize("ending", PACKED)
def test_what_is_not_packed_as_its_name_says_is_damaged(tmp_path: Path, ending: str) -> None:
    documents, read_errors = read(LINES, write(tmp_path / f"text{ending}", b"plain text\n"))
    assert not documents
    assert lines_and_reasons(read_errors) == [(None, "damaged_file")]


@pytest.mark.parametrize("ending", PACKED)
def test_consecutive_streams_are_all_read(tmp_path: Path, ending: str) -> None:
    content = b"".join(PACK[ending](f"line {number}\n".encode()) for number in range(300)) + bytes(512)
    documents, read_errors = read(LINES, write(tmp_path / f"text{ending}", content))
    assert texts(documents) == [f"line {number}" for number in range(300)]
    assert not read_errors


@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_of_nothing_is_empty(tmp_path: Path, ending: str) -> None:
    files = write(tmp_path / f"a{ending}", PACK[ending](b"")), write(tmp_path / f"b{ending}", b"")
    documents, read_errors = read(LINES, *files)
    assert not documents
    assert lines_and_reasons(read_errors) == [(None, "empty_file"), (None, "empty_file")]


@pytest.mark.parametrize("ending", PACKED)
def test_a_bomb_is_given_up_and_what_came_before_is_kept(tmp_path: Path, ending: str) -> None:
    content = b"one\ntwo\n" + bytes(30_000_000) + b"\nthree\n"
    file, good = write(tmp_path / f"bomb{ending}", PACK[ending](content)), write(tmp_path / "good", b"good")
    documents, read_errors = read(LINES, file, good, max_document_bytes=1_000, max_unpacked_bytes=10_000_000)
    assert texts(documents) == ["one", "two", "good"]
    assert lines_and_reasons(read_errors) == [(3, "unpacks_too_large")]


@pytest.mark.parametrize("ending", PACKED)
def test_a_file_may_unpack_to_exactly_its_limit(tmp_path: Path, ending: str) -> None:
    file = write(tmp_path / f"text{ending}", PACK[ending](b"one\ntwo\n"))
    assert texts(read(LINES, file, max_unpacked_bytes=8)[0]) == ["one", "two"]
    documents, read_errors = read(LINES, file, max_unpacked_bytes=7)
    assert texts(documents) == ["one"]
    assert lines_and_reasons(read_errors) == [(2, "unpacks_too_large")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", PACK)
def test_utf_16_is_known_by_its_mark(tmp_path: Path, encoding: str, ending: str) -> None:
    content = "\ufeffnaïve 🙂\r\nzwei\n\u0a0d\n".encode(encoding)
    documents, read_errors = read(LINES, write(tmp_path / f"text{ending}", PACK[ending](content)))
    assert texts(documents) == ["naïve 🙂", "zwei", "\u0a0d"]
    assert not read_errors


def test_what_is_no_utf_16_costs_its_line_alone(tmp_path: Path) -> None:
    content = "\ufeffone\nhalf \ud83d\nthree\nfour".encode("utf-16-le", "surrogatepass") + b"x"
    documents, read_errors = read(LINES, write(tmp_path / "text", content))
    assert texts(documents) == ["one", "three"]
    assert lines_and_reasons(read_errors) == [(2, "not_unicode"), (4, "not_unicode")]


def test_of_utf_16_that_is_cut_off_every_line_before_the_cut_is_kept(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(many_lines()).encode("utf-16"))
    cut = packed[: len(packed) * 2 // 3]
    kept = decompressed(".gz", cut)
    whole_lines = kept[: len(kept) // 2 * 2].decode("utf-16").split("\n")[:-1]
    documents, read_errors = read(LINES, write(tmp_path / "text.gz", cut))
    assert texts(documents) == whole_lines
    assert lines_and_reasons(read_errors) == [(len(whole_lines) + 1, "damaged_file")]


def test_files_that_cannot_be_opened_cost_no_other(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder.gz").mkdir()
    files = [tmp_path / name for name in ("pipe", "loop", "folder.gz", "nowhere", "nowhere.gz", "nowhere.zip")]
    documents, read_errors = read(LINES, *files, write(tmp_path / "good", b"good"))
    assert texts(documents) == ["good"]
    assert by_path(read_errors) == [file.name for file in files]
    assert {read_error.reason for read_error in read_errors} == {"unreadable_file"}
    assert not any(str(tmp_path) in read_error.detail for read_error in read_errors)


def test_a_file_without_permission_costs_no_other(tmp_path: Path) -> None:
    files = write(tmp_path / "closed", b"text"), write(tmp_path / "closed.zip", b"text")
    tmp_path.chmod(0o000)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65_534)  # Nothing is closed to root.
        documents, read_errors = read(LINES, *files)
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert not documents
    assert lines_and_reasons(read_errors) == [(None, "unreadable_file"), (None, "unreadable_file")]


@pytest.mark.parametrize("name", ["text.rar", "text.txt.lz4", "text.7z", "text.zip.gz"])
def test_archives_of_other_kinds_are_named(tmp_path: Path, name: str) -> None:
    documents, read_errors = read(LINES, write(tmp_path / name, b"text"))
    assert not documents
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [(name, "unknown_format")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_an_archive_read_like_files_sorted_by_name(tmp_path: Path, method: int) -> None:
    members = {
        "b/rows.csv": b"text\nfrom csv\n",
        "b/": b"",
        "a.jsonl.gz": gzip.compress(b'{"text": "packed twice"}'),
        "c.jsonl": '\ufeff{"text": "é"}'.encode("utf-16-le"),
    }
    documents, read_errors = read(records(), write_archive(tmp_path / "rows.zip", members, method))
    assert [(document.path, document.text) for document in documents] == [
        ("rows.zip/a.jsonl.gz", "packed twice"),
        ("rows.zip/b/rows.csv", "from csv"),
        ("rows.zip/c.jsonl", "é"),
    ]
    assert not read_errors


def test_members_that_lead_elsewhere_or_cannot_be_read_cost_no_other(tmp_path: Path) -> None:
    names = ("/etc/a", "..", "../b", "a/../c", "C:/d", "e\\..\\f", "inner.zip", "inner.tar.gz", "good..txt")
    members = dict.fromkeys(names, b"text")
    path = write_archive(tmp_path / "many.zip", members)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("other", b"text")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    documents, read_errors = read(LINES, path)
    assert by_path(documents) == ["many.zip/good..txt"]
    assert sorted((read_error.path.removeprefix("many.zip/"), read_error.reason) for read_error in read_errors) == [
        ("..", "outside_folder"),
        ("../b", "outside_folder"),
        ("/etc/a", "outside_folder"),
        ("C:/d", "outside_folder"),
        ("a/../c", "outside_folder"),
        ("e\\..\\f", "outside_folder"),
        ("inner.tar.gz", "nested_archive"),
        ("inner.zip", "nested_archive"),
        ("other", "unknown_compression"),
    ]


def test_an_encrypted_member_is_a_read_error(tmp_path: Path) -> None:
    content = bytearray(write_archive(tmp_path / "many.zip", {"a": b"one", "b": b"two"}).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    documents, read_errors = read(LINES, write(tmp_path / "many.zip", bytes(content)))
    assert texts(documents) == ["two"]
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [("many.zip/a", "encrypted")]


def test_members_together_unpack_to_no_more_than_the_limit(tmp_path: Path) -> None:
    members = {f"{number}.txt": b"kept\n" + bytes(4_000_000) for number in range(8)}
    documents, read_errors = read(
        LINES,
        write_archive(tmp_path / "bomb.zip", members),
        write(tmp_path / "good", b"good"),
        max_unpacked_bytes=10_000_000,
    )
    assert texts(documents) == ["kept", "kept", "kept", "good"]
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("bomb.zip/0.txt", 2, "too_long"),
        ("bomb.zip/1.txt", 2, "too_long"),
        ("bomb.zip/2.txt", 2, "unpacks_too_large"),
    ]


def test_a_damaged_member_costs_no_other(tmp_path: Path) -> None:
    members = {name: "\n".join(many_lines(2_000)).encode() for name in "abc"}
    path = write_archive(tmp_path / "many.zip", members)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("b")
    content[info.header_offset + info.compress_size // 2] ^= 0xFF
    documents, read_errors = read(LINES, write(path, bytes(content)))
    assert by_path(documents).count("many.zip/a") == by_path(documents).count("many.zip/c") == 2_000
    assert 500 < by_path(documents).count("many.zip/b") <= 2_000
    assert [
        (read_error.path, read_error.reason) for read_error in read_errors if read_error.reason != "not_unicode"
    ] == [("many.zip/b", "damaged_file")]


class Unseekable:
    """A file that cannot seek, like a network connection: archives written to it have the sizes after the members."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, content: bytes) -> int:
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def streamed_archive(path: Path, members: dict[str, bytes]) -> Path:
    file = Unseekable(path)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    file.close()
    return path


@pytest.mark.parametrize("written", [write_archive, streamed_archive])
def test_of_a_truncated_archive_everything_before_the_end_is_read(
    tmp_path: Path, written: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    members = {name: "\n".join(many_lines(2_000)).encode() for name in ("c", "ä", "b", "d")}
    path = written(tmp_path / "many.zip", members)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("b")
    documents, read_errors = read(LINES, write(path, path.read_bytes()[: info.header_offset + info.compress_size // 2]))
    n_kept = by_path(documents).count("many.zip/b")
    assert 500 < n_kept < 2_000
    assert by_path(documents) == ["many.zip/b"] * n_kept + ["many.zip/c"] * 2_000 + ["many.zip/ä"] * 2_000
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("many.zip", None, "damaged_file"),
        ("many.zip/b", n_kept + 1, "damaged_file"),
    ]


def test_what_is_no_archive_is_damaged_and_one_of_nothing_is_empty(tmp_path: Path) -> None:
    files = (
        write(tmp_path / "none.zip", b"text"),
        write(tmp_path / "empty.zip", b""),
        write_archive(tmp_path / "nothing.zip", {}),
        write(tmp_path / "long.zip", struct.pack("<4s5H3I2H", b"PK\3\4", 0, 0, 0, 0, 0, 0, 9, 9, 60_000, 0)),
    )
    documents, read_errors = read(LINES, *files)
    assert not documents
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("none.zip", "damaged_file"),
        ("empty.zip", "empty_file"),
        ("nothing.zip", "empty_file"),
        ("long.zip", "damaged_file"),
    ]
