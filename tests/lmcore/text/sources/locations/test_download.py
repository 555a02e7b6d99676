import hashlib
from pathlib import Path

import pytest

from lmcore.config.locations import RemoteFile
from lmcore.text.sources.locations.download import download, renew
from lmcore.text.sources.locations.http import Patience
from tests.lmcore.text.sources.servers import Breaks, Fails, File, FileServer

CONTENT = b"what is there at first"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(attempts=4, first_wait=0.01, longest_wait=0.02, longest_retry_after=0.3, connect=1.0, read=1.0)
LARGE = 10**9
MARKS = [
    {"etag": '"1"'},
    {"last_modified": "Tue, 24 Nov 2026 08:00:00 GMT"},
    {"etag": 'W/"1"', "last_modified": "Tue, 24 Nov 2026 08:00:00 GMT"},
]


def file(server: FileServer, sha256: str | None = None) -> RemoteFile:
    return RemoteFile(url=server.url("/file.bin"), sha256=sha256)


def fetch(server: FileServer, folder: Path, sha256: str | None = None) -> None:
    download(file(server, sha256), folder / "file.bin", LARGE, QUICK)
    assert [some.name for some in folder.iterdir() if not some.name.endswith((".lock", ".mark"))] == ["file.bin"]


def look_again(server: FileServer, folder: Path, sha256: str | None = None) -> bytes:
    renew(file(server, sha256), folder / "file.bin", LARGE, QUICK)
    return (folder / "file.bin").read_bytes()


def statuses(server: FileServer) -> list[int]:
    return [request.status for request in server.requests]


@pytest.mark.parametrize("marks", MARKS)
def test_a_file_that_has_not_changed_is_not_sent_again(
    server: FileServer, tmp_path: Path, marks: dict[str, str]
) -> None:
    server.files["/file.bin"] = File(CONTENT, **marks)  # type: ignore[arg-type]
    fetch(server, tmp_path)
    assert look_again(server, tmp_path) == CONTENT
    assert statuses(server) == [200, 304]


@pytest.mark.parametrize("marks", [*MARKS, {}])
def test_a_newer_version_replaces_the_earlier_one(server: FileServer, tmp_path: Path, marks: dict[str, str]) -> None:
    server.files["/file.bin"] = File(CONTENT, **marks)  # type: ignore[arg-type]
    fetch(server, tmp_path)
    newer = {name: mark.replace("1", "2").replace("24", "25") for name, mark in marks.items()}
    server.files["/file.bin"] = File(CONTENT[:9], **newer)  # type: ignore[arg-type]
    assert look_again(server, tmp_path) == CONTENT[:9]
    server.requests.clear()
    assert look_again(server, tmp_path) == CONTENT[:9]
    assert statuses(server) == ([304] if marks else [200, 200])


@pytest.mark.parametrize("status", [404, 403, 500])
def test_what_cannot_be_looked_at_again_is_kept(
    server: FileServer, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.files["/file.bin"] = File(CONTENT, etag='"1"')
    fetch(server, tmp_path)
    server.files["/file.bin"].failures = [Fails(status)]
    assert look_again(server, tmp_path) == CONTENT
    assert f"/file.bin could not be checked (status {status}); the earlier download is kept" in caplog.text


def test_without_a_network_what_was_fetched_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    renew(RemoteFile(url="http://127.0.0.1:9/file.bin", sha256=None), tmp_path / "file.bin", LARGE, QUICK)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert "could not be checked" in caplog.text


def test_another_version_that_breaks_off_costs_nothing_that_was_there(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, etag='"1"')
    fetch(server, tmp_path)
    server.files["/file.bin"] = File(CONTENT[:-1], etag='"2"', failures=[Breaks(0), Breaks(9), *[Fails(503)] * 4])
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        look_again(server, tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    server.files["/file.bin"].failures.clear()
    assert look_again(server, tmp_path) == CONTENT[:-1]


def test_nobody_asks_for_what_has_a_digest_or_was_never_fetched(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT)
    renew(file(server), tmp_path / "file.bin", LARGE, QUICK)
    fetch(server, tmp_path, DIGEST)
    assert look_again(server, tmp_path, DIGEST) == CONTENT
    assert statuses(server) == [200]
