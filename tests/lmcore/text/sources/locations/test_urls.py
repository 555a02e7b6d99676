import gzip
import hashlib
import multiprocessing
import random
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from lmcore.config.collect import Source
from lmcore.config.locations import RemoteFile, Urls
from lmcore.config.readers import ParallelLines, Reader, WholeFiles
from lmcore.text.sources.locations.download import download
from lmcore.text.sources.locations.http import Patience, without_secrets
from lmcore.text.sources.locations.locate import locate
from lmcore.text.sources.locations.urls import fetch_files
from tests.lmcore.text.sources.servers import Breaks, Fails, File, FileServer, Waits

CONTENT = random.Random(0).randbytes(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(attempts=4, first_wait=0.01, longest_wait=0.02, longest_retry_after=0.3, connect=1.0, read=1.0)
LARGE = 10**9


def fetch(
    server: FileServer, folder: Path, *, sha256: str | None = None, max_bytes: int = LARGE, patience: Patience = QUICK
) -> bytes:
    path = folder / "file.bin"
    download(RemoteFile(url=server.url("/file.bin"), sha256=sha256), path, max_bytes, patience)
    assert [file.name for file in folder.iterdir() if not file.name.endswith((".lock", ".mark"))] == ["file.bin"]
    return path.read_bytes()


def ranges(server: FileServer) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def statuses(server: FileServer) -> list[int]:
    return [request.status for request in server.requests]


def source(*urls: str, reader: Reader | None = None, max_bytes: int = LARGE) -> Source:
    return Source(
        name="web",
        location=Urls(kind="urls", files=tuple(RemoteFile(url=url, sha256=None) for url in urls), max_bytes=max_bytes),
        reader=reader or WholeFiles(kind="whole_files", encoding=None, divide=None),
        split=None,
        weight=1.0,
        license=None,
        attribution=None,
    )


def test_a_file_is_fetched_once(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT)
    first = locate(source(server.url("/file.bin")), tmp_path)
    assert locate(source(server.url("/file.bin")), tmp_path) == first
    (file,) = first.files
    assert (file.name, file.size, file.path.read_bytes()) == ("file.bin", len(CONTENT), CONTENT)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_failing_server_is_retried(server: FileServer, tmp_path: Path, status: int) -> None:
    server.files["/file.bin"] = File(CONTENT, failures=[Fails(status), Fails(status)])
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert statuses(server) == [status, status, 200]


def test_a_server_that_keeps_failing_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, failures=[Fails(503)] * 9)
    with pytest.raises(
        ConnectionError, match=r"/file.bin could not be downloaded in 4 attempts \(the server returned status 503"
    ):
        fetch(server, tmp_path)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("etag", "last_modified"), [('"v1"', None), (None, "Thu, 01 Jan 2026 00:00:00 GMT"), ('W/"v1"', "yesterday")]
)
@pytest.mark.parametrize("has_length", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_ended(
    server: FileServer, tmp_path: Path, etag: str | None, last_modified: str | None, has_length: bool
) -> None:
    failures = [Breaks(300_000), Breaks(200_000)]
    server.files["/file.bin"] = File(CONTENT, etag, last_modified, has_length=has_length, failures=[*failures])
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=500000-"]
    assert statuses(server) == [200, 206, 206]


@pytest.mark.parametrize(("etag", "has_ranges"), [('"v1"', False), (None, True), ('W/"v1"', True)])
def test_it_begins_anew_where_the_server_cannot_go_on(
    server: FileServer, tmp_path: Path, etag: str | None, has_ranges: bool
) -> None:
    server.files["/file.bin"] = File(CONTENT, etag, has_ranges=has_ranges, failures=[Breaks(300_000)])
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert statuses(server) == [200, 200]


@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("changed", [CONTENT[::-1], CONTENT[:1000]])
def test_parts_of_two_versions_are_never_joined(
    server: FileServer, tmp_path: Path, changed: bytes, heeds_if_range: bool
) -> None:
    server.files["/file.bin"] = File(CONTENT, '"v1"', failures=[Breaks(300_000)])
    with pytest.raises(ConnectionError):
        fetch(server, tmp_path, patience=replace(QUICK, attempts=1))
    server.files["/file.bin"] = File(changed, '"v2"', heeds_if_range=heeds_if_range)
    assert fetch(server, tmp_path) == changed
    assert ranges(server) == [None, "bytes=300000-"] + [None] * (not heeds_if_range)


def test_a_server_may_send_less_than_requested(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, '"v1"', longest_part=400_000, failures=[Breaks(300_000)])
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_process_goes_on_where_an_earlier_one_ended(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, '"v1"', failures=[Breaks(300_000), Fails(500)])
    with pytest.raises(ConnectionError, match="the download will be resumed"):
        fetch(server, tmp_path, patience=replace(QUICK, attempts=1))
    assert not (tmp_path / "file.bin").exists()
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=300000-"]


def test_what_brings_something_new_does_not_count_as_a_failure(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, '"v1"', failures=[Breaks(50_000)] * 19)
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert len(server.requests) == 20


def test_a_server_that_always_breaks_off_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, has_ranges=False, failures=[Breaks(300_000)] * 99)
    with pytest.raises(ConnectionError, match="4 attempts"):
        fetch(server, tmp_path)
    assert len(server.requests) == 4


def test_a_slow_server_is_retried(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, failures=[Waits(0.6)])
    assert fetch(server, tmp_path, patience=replace(QUICK, read=0.2)) == CONTENT
    time.sleep(0.5)  # The late answer is noted when it is given.
    assert len(server.requests) == 2


@pytest.mark.parametrize("as_date", [False, True])
def test_the_wait_that_a_server_asks_for_is_kept_up_to_a_bound(
    server: FileServer, tmp_path: Path, as_date: bool
) -> None:
    asked = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True) if as_date else "3600"
    server.files["/file.bin"] = File(CONTENT, failures=[Fails(429, {"Retry-After": asked})])
    start = time.monotonic()
    assert fetch(server, tmp_path) == CONTENT
    assert 0.3 <= time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "there is no file at"), (410, "there is no file at"), (403, "is not accessible"), (418, "status 418")],
)
def test_a_refusal_is_an_error_at_once(server: FileServer, tmp_path: Path, status: int, message: str) -> None:
    server.files["/file.bin"] = File(CONTENT, failures=[Fails(status)])
    with pytest.raises(ValueError, match=f"source 'web': .*{message}"):
        locate(source(server.url("/file.bin")), tmp_path)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_named_with_the_source(tmp_path: Path) -> None:
    location = source("http://user:secret@127.0.0.1:9/a.txt?key=secret").location
    assert isinstance(location, Urls)
    with pytest.raises(
        ConnectionError, match=r"source 'web': http://127.0.0.1:9/a.txt could not be .* refused"
    ) as error:
        fetch_files("web", location, tmp_path, QUICK)
    assert "secret" not in "".join(traceback.format_exception(error.value))


def test_a_file_that_is_announced_as_too_large_is_not_read(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT)
    with pytest.raises(ValueError, match=r"is larger than max_bytes \(1,000,000 > 999,999\): raise max_bytes"):
        fetch(server, tmp_path, max_bytes=999_999)
    assert fetch(server, tmp_path, max_bytes=1_000_000) == CONTENT
    with pytest.raises(ValueError, match="is larger than max_bytes"):
        fetch(server, tmp_path, max_bytes=999_999)


def test_a_file_of_unknown_size_is_given_up_when_it_becomes_too_large(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, has_length=False)
    with pytest.raises(ValueError, match="is larger than max_bytes"):
        fetch(server, tmp_path, max_bytes=500_000)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == 0
    assert fetch(server, tmp_path) == CONTENT


def test_a_wrong_digest_is_an_error_with_both_and_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(b"forged")
    with pytest.raises(ValueError, match=f"has SHA-256 {hashlib.sha256(b'forged').hexdigest()}, not {DIGEST}"):
        fetch(server, tmp_path, sha256=DIGEST)
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin.lock"]
    server.files["/file.bin"] = File(CONTENT)
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT


def test_another_digest_asks_for_another_file(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(b"old")
    assert fetch(server, tmp_path) == b"old"
    server.files["/file.bin"] = File(CONTENT)
    assert fetch(server, tmp_path) == b"old"
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert len(server.requests) == 2


def test_a_file_stays_packed_as_it_is(server: FileServer, tmp_path: Path) -> None:
    packed = gzip.compress(b"text")
    server.files["/file.bin"] = File(packed)
    assert fetch(server, tmp_path, sha256=hashlib.sha256(packed).hexdigest()) == packed
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_redirects_are_followed_over_http_only(server: FileServer, tmp_path: Path) -> None:
    server.files["/there/file.bin"] = File(CONTENT, '"v1"', failures=[Breaks(300_000)])
    server.redirects["/file.bin"] = server.url("/there/file.bin")
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    for number, target in enumerate(["file:///etc/passwd?secret", server.url("/circle")]):
        server.redirects["/circle"] = target
        with pytest.raises(ValueError, match="source 'web': the URL cannot be used, or redirects to one") as error:
            locate(source(server.url("/circle")), tmp_path / str(number))
        assert "secret" not in "".join(traceback.format_exception(error.value))


def fetch_in_process(url: str, folder: Path) -> None:
    download(RemoteFile(url=url, sha256=DIGEST), folder / "file.bin", LARGE, QUICK)


def test_processes_that_want_the_same_file_do_not_spoil_it(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, '"v1"', failures=[Breaks(300_000), Waits(0.3)])
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fetch_in_process, args=(server.url("/file.bin"), tmp_path)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert ranges(server) == [None, "bytes=300000-"]


def test_a_killed_download_leaves_no_file_that_looks_whole(server: FileServer, tmp_path: Path) -> None:
    server.files["/file.bin"] = File(CONTENT, '"v1"', failures=[Breaks(300_000), Waits(30)])
    arguments = (server.url("/file.bin"), tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=fetch_in_process, args=arguments)
    process.start()
    partial = tmp_path / "file.bin.partial"
    while not (partial.exists() and partial.stat().st_size == 300_000):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not (tmp_path / "file.bin").exists()
    server.files["/file.bin"].failures = []
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert ranges(server)[-1] == "bytes=300000-"


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/a.txt"], ["a.txt"]),
        (["/data/b.txt", "/data/a.txt?key=1"], ["a.txt", "b.txt"]),
        (["/data/en/x.txt", "/data/de/x.txt"], ["de/x.txt", "en/x.txt"]),
        (["/x/a%20b%C3%A9.txt"], ["a bé.txt"]),
        (["/x/..%2F..%2Fetc.txt"], ["..%2F..%2Fetc.txt"]),
        ([f"/{'long' * 99}.txt.gz"], [f"{'long' * 99}.txt.gz"]),
    ],
)
def test_files_are_named_by_what_their_addresses_do_not_share(
    server: FileServer, tmp_path: Path, paths: list[str], expected: list[str]
) -> None:
    for path in paths:
        server.files[unquote(urlsplit(path).path)] = File(path.encode())
    located = locate(source(*map(server.url, paths)), tmp_path)
    assert [file.name for file in located.files] == expected
    assert sorted(file.path.read_text() for file in located.files) == sorted(paths)
    for file in located.files:
        assert file.path.is_relative_to(tmp_path)
        assert file.path.suffix == Path(file.name).suffix


def test_addresses_that_differ_in_their_query_alone_are_an_error(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="source 'web': several URLs have files with the same name"):
        locate(source(server.url("/get?id=1"), server.url("/get?id=2")), tmp_path)


def test_parallel_files_keep_their_order(server: FileServer, tmp_path: Path) -> None:
    server.files |= {"/fr/x.txt": File(b"un"), "/en/x.txt": File(b"one")}
    reader = ParallelLines(kind="parallel_lines", encoding=None)
    located = locate(source(server.url("/fr/x.txt"), server.url("/en/x.txt"), reader=reader), tmp_path)
    assert [file.name for file in located.files] == ["fr/x.txt", "en/x.txt"]


def test_what_is_shown_of_an_address_holds_no_secrets() -> None:
    assert (
        without_secrets("https://user:password@example.org:8080/a/b.txt?token=1#x")
        == "https://example.org:8080/a/b.txt"
    )
