"""Cache entries are computed once for their key; a damaged one is reported, set aside and computed again."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import folder_digest


def compute(folder: Path) -> None:
    (folder / "documents").mkdir()
    (folder / "documents" / "0.parquet").write_bytes(b"documents" * 1000)
    (folder / "summary.json").write_text('{"documents": 1000}')


def refuse(_: Path) -> None:
    raise AssertionError("the entry is in the cache already")


def flip(file: Path) -> None:
    """Change one bit, and keep the size and the times."""
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: flip(entry / "documents" / "0.parquet"),
        lambda entry: flip(entry / "summary.json"),
        lambda entry: flip(entry / "sha256"),
        lambda entry: (entry / "summary.json").write_text(""),
        lambda entry: os.truncate(entry / "documents" / "0.parquet", 10),
        lambda entry: (entry / "summary.json").unlink(),
        lambda entry: (entry / "sha256").unlink(),
        lambda entry: (entry / "documents" / "1.parquet").write_bytes(b"more"),
    ],
)
def test_a_damaged_entry_is_reported_and_recomputed(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ArtifactCache(tmp_path, code="")
    whole = folder_digest(cache.get_or_compute("key", compute))
    assert cache.get_or_compute("key", refuse) == tmp_path / "key"
    assert caplog.records == []
    damage(tmp_path / "key")
    assert folder_digest(cache.get_or_compute("key", compute)) == whole
    assert [str(tmp_path / "key") in record.message for record in caplog.records] == [True]
    assert set(cache.names()) == {"key", "key.damaged-1"}
    cache.prune(["key"])
    assert cache.names() == ["key"]


def test_keys_differ_with_the_parts_and_the_code(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, code="1")
    keys = {
        cache.key("read", 1),
        cache.key("read", 2),
        cache.key("read", "1"),
        cache.key("read", None),
        ArtifactCache(tmp_path, code="2").key("read", 1),
    }
    assert len(keys) == 5
    assert pickle.loads(pickle.dumps(cache)).key("read", 1) == cache.key("read", 1)


def test_a_computation_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        compute(folder)
        raise OSError("the disk is full")

    cache = ArtifactCache(tmp_path / "cache", code="")
    with pytest.raises(OSError, match="full"):
        cache.get_or_compute("key", fail)
    assert cache.names() == []
