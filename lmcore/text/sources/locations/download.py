"""Fetch a file from an address: tried again, resumed, limited, checked, and in the end whole or not there."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from filelock import FileLock
from requests import Response, Session

from lmcore.config.collect import RemoteFile
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.damaged_files import read_record
from lmcore.runtime.files import atomic_file, file_digest, write_json

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18
TOO_MANY_REQUESTS, REQUEST_TIMEOUT = 429, 408
OK, PARTIAL_CONTENT, NOT_MODIFIED, RANGE_NOT_SATISFIABLE = 200, 206, 304, 416
NOT_THERE, NOT_ALLOWED = (404, 410), (401, 403)
# Bytes as they are: what is packed on the way would have another size and digest.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "lmcore"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for, in seconds.

    Attributes:
        attempts: in a row that bring nothing new, before a download is given up.
        first_wait: before the second attempt; it doubles with each one that brings nothing new.
        longest_wait: what it doubles up to.
        longest_retry_after: what is waited at most where the server itself says how long.
        connect: until a server must answer.
        read: until it must send the next bytes.
    """

    attempts: int
    first_wait: float
    longest_wait: float
    longest_retry_after: float
    connect: float
    read: float

    def wait(self, n_failures: int, retry_after: float | None) -> float:
        """Seconds before the next attempt."""
        own = min(self.first_wait * 2.0 ** (n_failures - 1), self.longest_wait)
        return own if retry_after is None else min(max(own, retry_after), self.longest_retry_after)


PATIENCE = Patience(attempts=6, first_wait=1.0, longest_wait=30.0, longest_retry_after=120.0, connect=15.0, read=60.0)


class _PassingError(Exception):
    """A failure that may be over soon."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _UnwantedError(UserError):
    """What is there is not what may be taken."""


@dataclass(frozen=True, slots=True)
class _Partial:
    """What has arrived of a file, and by which mark the server knows the version that it is of."""

    path: Path
    mark_path: Path

    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    def mark(self) -> str | None:
        """``ETag``, else ``Last-Modified``; ``None`` if there is none, or nothing has arrived."""
        return _read_mark(self.mark_path) if self.size() else None

    def start(self, mark: str | None) -> None:
        """Forget what has arrived, and note the version that comes now."""
        self.path.write_bytes(b"")
        write_json(self.mark_path, {"mark": mark})

    def remove(self) -> None:
        """Forget what has arrived."""
        self.path.unlink(missing_ok=True)
        self.mark_path.unlink(missing_ok=True)


def _mark_path(path: Path) -> Path:
    """Where it stands which version of a file was fetched."""
    return path.with_name(f"{path.name}.mark")


def _read_mark(path: Path) -> str | None:
    record = read_record(path, dict[str, str | None])
    return record.get("mark") or None if record else None


def download(file: RemoteFile, path: Path, max_bytes: int, patience: Patience = PATIENCE) -> None:
    """Fetch a file, unless it is at ``path`` already.

    What arrives is stored as it is sent. A download that was cut off, also in an earlier process, goes on where it
    ended if the server can tell that the file is still the same, else from the beginning. Several processes may ask
    for the same file: one fetches it.

    Args:
        file: where it is, and the SHA-256 that it must have.
        path: where it is put, whole.
        max_bytes: of the file; a larger one is an error.
        patience: how often and how long it is tried.

    Raises:
        ValueError: if there is no such file, it may not be read, is too large or has another digest.
        ConnectionError: if the server cannot be reached, or does not deliver, all attempts long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not path.exists() or (file.sha256 is not None and file.sha256 != file_digest(path)):
            _replace(path, file, max_bytes, patience)
        _check_size(file, path.stat().st_size, max_bytes)


def renew(file: RemoteFile, path: Path, max_bytes: int, patience: Patience = PATIENCE) -> None:
    """Ask whether there is another version of a file that was fetched before, and fetch it if so.

    One whose digest is given cannot change. Where the server does not answer, what was fetched before is kept, and a
    warning says so.

    Args:
        file: where it is.
        path: where it was put, if it was fetched.
        max_bytes: of the file; a larger one is an error.
        patience: how often and how long it is tried.

    Raises:
        ValueError, ConnectionError: as :func:`download`, if there is another version that cannot be had.
    """
    if file.sha256 is not None or not path.exists():
        return
    with FileLock(path.with_name(f"{path.name}.lock")):
        if _has_changed(file, _read_mark(_mark_path(path)), patience):
            _replace(path, file, max_bytes, patience)


def _has_changed(file: RemoteFile, mark: str | None, patience: Patience) -> bool:
    """Whether the server has another version than the marked one, or one that nobody can tell from it."""
    condition: dict[str, str] = {}
    if mark is not None:
        condition = {"If-None-Match" if mark.startswith('"') else "If-Modified-Since": mark}
    try:
        with (
            _passing_failures(),
            requests.Session() as session,
            _get(session, file, condition, patience) as response,
        ):
            status, now = response.status_code, _mark(response)
    except (_PassingError, ValueError) as error:
        logger.warning("%s could not be looked at again (%s); what was fetched before is kept", shown(file.url), error)
        return False
    if status == OK:
        return now is None or now != mark
    if status != NOT_MODIFIED:
        logger.warning(
            "%s could not be looked at again (status %d); what was fetched before is kept", shown(file.url), status
        )
    return False


def _replace(path: Path, file: RemoteFile, max_bytes: int, patience: Patience) -> None:
    partial = _Partial(path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.json"))
    try:
        _fetch(file, partial, max_bytes, patience)
        _check_digest(file, partial.path)
    except _UnwantedError:
        partial.remove()
        raise
    mark = partial.mark()
    with atomic_file(path) as temporary:
        partial.path.replace(temporary)
    write_json(_mark_path(path), {"mark": mark})
    partial.remove()


def shown(url: str) -> str:
    """An address for a person to read: without a password, and without the keys that a query may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _fetch(file: RemoteFile, partial: _Partial, max_bytes: int, patience: Patience) -> None:
    n_failures, furthest = 0, partial.size()
    with requests.Session() as session:
        while True:
            try:
                with _passing_failures(), _open(session, file, partial, patience) as response:
                    return _receive(response, file, partial, max_bytes)
            except _PassingError as failure:
                n_failures = n_failures + 1 if partial.size() <= furthest else 1
                furthest = max(furthest, partial.size())
                if n_failures >= patience.attempts:
                    raise ConnectionError(
                        f"{shown(file.url)} could not be fetched in {n_failures} attempts ({failure}): check the "
                        "network and the address, and start again; what has arrived is kept"
                    ) from None  # What it came from repeats the whole address, and with it a secret.
                wait = patience.wait(n_failures, failure.retry_after)
                logger.warning("%s: %s; next attempt in %.1f s", shown(file.url), failure, wait)
            time.sleep(wait)


@contextmanager
def _passing_failures() -> Iterator[None]:
    """Tell what may be over soon from what will not."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _PassingError(_innermost(error)) from error
    except requests.RequestException as error:
        # What it came from repeats the whole address, and with it a secret.
        raise UserError(f"an address cannot be used, or leads to one that cannot: {type(error).__name__}") from None


def _open(session: Session, file: RemoteFile, partial: _Partial, patience: Patience) -> Response:
    mark = partial.mark()
    rest = {} if mark is None else {"Range": f"bytes={partial.size()}-", "If-Range": mark}
    return _get(session, file, rest, patience)


def _get(session: Session, file: RemoteFile, headers: dict[str, str], patience: Patience) -> Response:
    timeout = (patience.connect, patience.read)
    return session.get(file.url, headers=HEADERS | headers, stream=True, timeout=timeout)


def _receive(response: Response, file: RemoteFile, partial: _Partial, max_bytes: int) -> None:
    _check_status(response, file, partial)
    total = _total_size(response)
    _check_size(file, total or 0, max_bytes)
    if response.status_code == OK:
        partial.start(_mark(response))
    elif _mark(response) != partial.mark() or _start(response) != partial.size():
        partial.remove()
        raise _PassingError("the file has changed since its first part arrived")
    size = partial.size()
    with partial.path.open("ab") as stream, progress(f"Download {shown(file.url)}", total or 0, "bytes") as work:
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            size += len(chunk)
            _check_size(file, size, max_bytes)
            stream.write(chunk)
            work.reach(size)
    if total is not None and size != total:
        raise _PassingError(f"{size:,} bytes arrived of {total:,}")


def _check_status(response: Response, file: RemoteFile, partial: _Partial) -> None:
    status = response.status_code
    if status in (OK, PARTIAL_CONTENT):
        return
    if status == RANGE_NOT_SATISFIABLE and partial.size():
        partial.remove()
        raise _PassingError("the file has changed since its first part arrived")
    if status in (TOO_MANY_REQUESTS, REQUEST_TIMEOUT) or status >= 500:
        raise _PassingError(f"the server answers {status}", _retry_after(response))
    if status in NOT_THERE:
        raise UserError(f"there is no file at {shown(file.url)} (status {status}): correct the address")
    if status in NOT_ALLOWED:
        raise UserError(f"{shown(file.url)} is not accessible (status {status}): download it and use the local file")
    raise UserError(f"{shown(file.url)} returned status {status} instead of a file: correct the address")


def _check_size(file: RemoteFile, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise _UnwantedError(
            f"{shown(file.url)} holds more than max_bytes ({size:,} > {max_bytes:,}): raise max_bytes, or take the "
            "file off the list"
        )


def _check_digest(file: RemoteFile, path: Path) -> None:
    if file.sha256 is None:
        return
    digest = file_digest(path)
    if digest != file.sha256:
        raise _UnwantedError(
            f"{shown(file.url)} has SHA-256 {digest}, not {file.sha256}: the file there has changed, or the digest is "
            "not its own; look at it before you take the new digest over"
        )


def _mark(response: Response) -> str | None:
    """By what the server knows this version of the file; a weak ``ETag`` does not vouch for its bytes (RFC 9110)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _total_size(response: Response) -> int | None:
    """Bytes of the whole file, as far as the server says."""
    if response.status_code == PARTIAL_CONTENT:
        text = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _start(response: Response) -> int | None:
    """Where in the file the bytes begin that the server sends."""
    text = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdecimal() else None


def _retry_after(response: Response) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((date.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _innermost(error: BaseException) -> str:
    """What happened, without the address, which may hold secrets."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"
