"""Pieces of work and small records that were damaged on the disk: named, set aside, and made again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcore.runtime.artifact_cache import complete_piece, keep_pieces, pieces_in
from lmcore.runtime.files import folder_digest
from lmcore.runtime.records import read_record, set_aside


def compute(folder: Path) -> None:
    (folder / "documents").mkdir()
    (folder / "documents" / "0.parquet").write_bytes(b"documents" * 1000)
    (folder / "summary.json").write_text('{"documents": 1000}')


def refuse(_: Path) -> None:
    raise AssertionError("it is there already")


def flip(file: Path) -> None:
    """Change one bit, and keep the size and the times."""
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    "damage",
    [
        lambda piece: flip(piece / "documents" / "0.parquet"),
        lambda piece: flip(piece / "summary.json"),
        lambda piece: flip(piece / "sha256"),
        lambda piece: (piece / "summary.json").write_text(""),
        lambda piece: os.truncate(piece / "documents" / "0.parquet", 10),
        lambda piece: (piece / "summary.json").unlink(),
        lambda piece: (piece / "sha256").unlink(),
        lambda piece: (piece / "documents" / "1.parquet").write_bytes(b"more"),
    ],
)
def test_a_damaged_piece_is_named_and_made_again(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = folder_digest(complete_piece(tmp_path, "key", compute))
    assert complete_piece(tmp_path, "key", refuse) == tmp_path / "key"
    assert caplog.records == []
    damage(tmp_path / "key")
    assert folder_digest(complete_piece(tmp_path, "key", compute)) == whole
    assert [str(tmp_path / "key") in record.message for record in caplog.records] == [True]
    assert set(pieces_in(tmp_path)) == {"key", "key.damaged-1"}
    keep_pieces(tmp_path, ["key"])
    assert pieces_in(tmp_path) == ["key"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[1]", b'{"a": "1"}', b'{"a": NaN}', b"\0" * 9])
def test_a_damaged_record_is_named_and_set_aside(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rates.json"
    assert read_record(file, dict[str, int]) is None
    file.write_bytes(b'{"a": 1}')
    assert read_record(file, dict[str, int]) == {"a": 1}
    file.write_bytes(content)
    assert read_record(file, dict[str, int]) is None
    assert not file.exists()
    assert [str(file) in record.message for record in caplog.records] == [True]
    assert (tmp_path / "rates.json.damaged-1").read_bytes() == content


def test_what_was_set_aside_before_is_kept(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / "lock").write_text(str(number))
        assert set_aside(tmp_path / "lock", tmp_path / "kept").name == f"lock.damaged-{number}"
    assert (tmp_path / "kept" / "lock.damaged-1").read_text() == "1"
