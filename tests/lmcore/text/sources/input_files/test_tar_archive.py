import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.config.readers import TextLines, WholeFiles
from tests.lmcore.text.sources.reader import PACK, read, texts, write

WHOLE = WholeFiles(kind="whole_files", encoding=None, divide=None)
LINES = TextLines(kind="lines", encoding=None, label=None)
ENDINGS = {
    ".tar": "",
    **{f".tar{ending}": ending for ending in PACK if ending},
    ".tgz": ".gz",
    ".tbz2": ".bz2",
    ".txz": ".xz",
    ".tzst": ".zst",
}


def tar(members: dict[str, bytes], format: int = tarfile.PAX_FORMAT, **links: tuple[bytes, str]) -> bytes:
    """An archive as the standard library writes it; ``links`` are members of another type, and what they lead to."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=format) as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
        for name, (kind, target) in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return content.getvalue()


@pytest.mark.parametrize(("ending", "packed"), ENDINGS.items())
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_sorted_by_name_and_labeled_by_folder(
    tmp_path: Path, ending: str, packed: str, format: int
) -> None:
    long_name = f"./reviews/{'n' * 90}/{'m' * 90}.txt"
    members = {"reviews/pos/2.txt": b"two", "reviews/neg/1.txt.gz": PACK[".gz"](b"one"), long_name: b"long"}
    path = write(tmp_path / f"all{ending.upper()}", PACK[packed](tar(members, format)))
    documents, read_errors = read(WHOLE, path)
    assert not read_errors
    assert [(document.path.removeprefix(f"{path.name}/"), document.text, document.label) for document in documents] == [
        ("reviews/neg/1.txt.gz", "one", "neg"),
        (long_name.removeprefix("./"), "long", "n" * 90),
        ("reviews/pos/2.txt", "two", "pos"),
    ]


def test_what_leads_elsewhere_or_is_no_file_costs_no_other(tmp_path: Path) -> None:
    names = ("/etc/a", "../b", "a/../../c", "inner.tar.bz2", "inner.zip", "good", "caf\udce9", ".hidden", "__MACOSX/x")
    content = tar(
        dict.fromkeys(names, b"text"),
        soft=(tarfile.SYMTYPE, "/etc/passwd"),
        hard=(tarfile.LNKTYPE, "good"),
        null=(tarfile.CHRTYPE, ""),
        pipe=(tarfile.FIFOTYPE, ""),
        folder=(tarfile.DIRTYPE, ""),
    )
    documents, read_errors = read(LINES, write(tmp_path / "all.tar", content))
    assert [document.path for document in documents] == ["all.tar/good"]
    assert [(read_error.path.removeprefix("all.tar/"), read_error.reason) for read_error in read_errors] == [
        ("../b", "outside_folder"),
        ("/etc/a", "outside_folder"),
        ("a/../../c", "outside_folder"),
        ("caf\\udce9", "not_unicode"),
        ("inner.tar.bz2", "nested_archive"),
        ("inner.zip", "nested_archive"),
        ("null", "not_a_file"),
        ("pipe", "not_a_file"),
    ]


def test_of_members_with_one_name_the_last_is_read(tmp_path: Path) -> None:
    content = io.BytesIO(tar({"a": b"old", "b": b"other"}))
    with tarfile.open(fileobj=content, mode="a") as archive:
        info = tarfile.TarInfo("./a")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"new"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        zipped.writestr("a", "old")
        with pytest.warns(UserWarning, match="Duplicate"):
            zipped.writestr("a", "new")
    documents, read_errors = read(LINES, write(tmp_path / "a.tar", content.getvalue()), tmp_path / "b.zip")
    assert texts(documents) == ["new", "other", "new"]
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("a.tar/a", "replaced"),
        ("b.zip/a", "replaced"),
    ]


@pytest.mark.parametrize("packed", PACK)
def test_of_a_truncated_archive_everything_before_the_end_is_read(tmp_path: Path, packed: str) -> None:
    lines = "".join(f"line {number}\n" for number in range(5_000)).encode()
    content = tar({"a": lines, "b": lines})[: len(lines) + 20_000]
    documents, read_errors = read(LINES, write(tmp_path / f"all.tar{packed}", PACK[packed](content)))
    n_kept = [document.path[-1] for document in documents].count("b")
    assert len(documents) == 5_000 + n_kept
    assert 1_000 < n_kept < 5_000
    assert [
        (read_error.path[-1], read_error.reason) for read_error in read_errors if read_error.path != documents[-1].path
    ] == [(f"all.tar{packed}"[-1], "damaged_file")]
    assert read_errors[-1].reason == "damaged_file"


def test_of_an_archive_in_a_damaged_stream_everything_before_the_damage_is_read(tmp_path: Path) -> None:
    packed = PACK[".gz"](tar({"a": b"one\n", "b": bytes(10**6)}))
    documents, read_errors = read(LINES, write(tmp_path / "all.tgz", packed[:-100]))
    assert texts(documents)[0] == "one"
    assert (read_errors[0].path, read_errors[0].reason, read_errors[0].line) == ("all.tgz", "damaged_file", None)


def test_bombs_are_given_up(tmp_path: Path) -> None:
    members = {"a": b"kept\n", "b": bytes(30_000_000)}
    path = write(tmp_path / "bomb.tar.gz", PACK[".gz"](tar(members)))
    documents, read_errors = read(LINES, path, max_unpacked_bytes=10_000_000, max_document_bytes=1_000)
    assert texts(documents) == ["kept"]
    assert read_errors[0].reason == "unpacks_too_large"
    holes = tarfile.TarInfo("holes")
    holes.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(holes.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" * 2  # One part, of nothing, at the beginning.
    header[483:495] = b"%011o\0" % 2**32  # What it is as a whole.
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:512]))
    path = write(tmp_path / "holes.tar", bytes(header) + bytes(1024))
    documents, read_errors = read(LINES, path, max_unpacked_bytes=10_000_000, max_document_bytes=1_000)
    assert not documents
    assert [read_error.reason for read_error in read_errors] == ["unpacks_too_large"]


def test_a_header_that_says_it_is_gigabytes_long_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    path = tmp_path / "long.tar"
    with path.open("wb") as file:
        file.write(tar({"a": b"one"})[:1024] + header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**33)
    documents, read_errors = read(LINES, path)
    assert texts(documents) == ["one"]
    assert [read_error.reason for read_error in read_errors] == ["damaged_file"]


def test_what_is_no_archive_is_damaged_and_one_of_nothing_is_empty(tmp_path: Path) -> None:
    contents = {"a.tar": b"text", "b.tar": b"", "c.tar": tar({}), "d.tgz": b"text", "e.tar.gz": PACK[".gz"](b"text")}
    documents, read_errors = read(LINES, *(write(tmp_path / name, content) for name, content in contents.items()))
    assert not documents
    assert [read_error.reason for read_error in read_errors] == [
        "damaged_file",
        "empty_file",
        "empty_file",
        "damaged_file",
        "damaged_file",
    ]


@settings(max_examples=60)
@given(st.data())
def test_damage_anywhere_never_ends_the_reading(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    n_letters = data.draw(st.sampled_from([1, 120]))
    content = bytearray(tar({"a" * n_letters: b"one\n", "b": b"two\n"}, data.draw(st.sampled_from([1, 2]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    read(LINES, write(path, bytes(content)), write(path.with_suffix(".txt"), b"good"))
