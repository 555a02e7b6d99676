"""Downloads of single files: retried, resumed, limited in size, verified, and stored atomically."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from filelock import FileLock
from requests import Response, Session

from lmcore.config.locations import RemoteFile
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.damaged_files import read_record
from lmcore.runtime.files import atomic_file, file_digest, write_json
from lmcore.text.sources.locations.http import (
    NOT_MODIFIED,
    OK,
    PATIENCE,
    RANGE_NOT_SATISFIABLE,
    Patience,
    TemporaryError,
    check_status,
    get,
    start_of_range,
    temporary_failures,
    total_size,
    version_of,
    without_secrets,
)

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18


class _UnusableFileError(UserError):
    """The file at the URL is too large, or has another digest than the configuration says."""


@dataclass(frozen=True, slots=True)
class _PartialFile:
    """What has arrived of a file so far, and the version of the file that it belongs to."""

    path: Path
    version_path: Path

    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> str | None:
        """``ETag``, else ``Last-Modified``; None if the server sent neither, or nothing has arrived."""
        return _read_version(self.version_path) if self.size() else None

    def start(self, version: str | None) -> None:
        """Start again, with this version of the file."""
        self.path.write_bytes(b"")
        write_json(self.version_path, {"mark": version})

    def remove(self) -> None:
        """Discard what has arrived."""
        self.path.unlink(missing_ok=True)
        self.version_path.unlink(missing_ok=True)


def _version_path(path: Path) -> Path:
    """Where the version of a downloaded file is recorded."""
    return path.with_name(f"{path.name}.mark")


def _read_version(path: Path) -> str | None:
    record = read_record(path, dict[str, str | None])
    return record.get("mark") or None if record else None


def download(file: RemoteFile, path: Path, max_bytes: int, patience: Patience = PATIENCE) -> None:
    """Download a file to ``path`` unless it is there already.

    A download that was cut off, also in an earlier process, is resumed if the server confirms that the file is still
    the same; otherwise it starts again. If several processes ask for the same file, one downloads it.

    Args:
        file: its URL, and the SHA-256 that it must have, if any.
        path: where to store it, atomically.
        max_bytes: the largest size of the file.
        patience: attempts, timeouts and waiting times.

    Raises:
        UserError: if there is no such file, it is not accessible, is too large or has another digest.
        ConnectionError: if the server cannot be reached or does not deliver, after all attempts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not path.exists() or (file.sha256 is not None and file.sha256 != file_digest(path)):
            _replace(path, file, max_bytes, patience)
        _check_size(file, path.stat().st_size, max_bytes)


def renew(file: RemoteFile, path: Path, max_bytes: int, patience: Patience = PATIENCE) -> None:
    """Download a file again if it has changed since it was downloaded to ``path``.

    A file whose digest is given cannot change. If the server does not answer, the earlier download is kept, with a
    warning.

    Args:
        file: its URL.
        path: the downloaded file, if there is one.
        max_bytes: the largest size of the file.
        patience: attempts, timeouts and waiting times.

    Raises:
        UserError, ConnectionError: as :func:`download`, if there is a newer version that cannot be downloaded.
    """
    if file.sha256 is not None or not path.exists():
        return
    with FileLock(path.with_name(f"{path.name}.lock")):
        if _has_changed(file, _read_version(_version_path(path)), patience):
            _replace(path, file, max_bytes, patience)


def _has_changed(file: RemoteFile, version: str | None, patience: Patience) -> bool:
    """Whether the server has another version of the file, or does not report a version."""
    condition: dict[str, str] = {}
    if version is not None:
        condition = {"If-None-Match" if version.startswith('"') else "If-Modified-Since": version}
    try:
        with (
            temporary_failures(),
            requests.Session() as session,
            get(session, file.url, condition, patience) as response,
        ):
            status, now = response.status_code, version_of(response)
    except (TemporaryError, ValueError) as error:
        logger.warning("%s could not be checked (%s); the earlier download is kept", without_secrets(file.url), error)
        return False
    if status == OK:
        return now is None or now != version
    if status != NOT_MODIFIED:
        shown = without_secrets(file.url)
        logger.warning("%s could not be checked (status %d); the earlier download is kept", shown, status)
    return False


def _replace(path: Path, file: RemoteFile, max_bytes: int, patience: Patience) -> None:
    partial = _PartialFile(path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.partial.json"))
    try:
        _fetch(file, partial, max_bytes, patience)
        _check_digest(file, partial.path)
    except _UnusableFileError:
        partial.remove()
        raise
    version = partial.version()
    with atomic_file(path) as temporary:
        partial.path.replace(temporary)
    write_json(_version_path(path), {"mark": version})
    partial.remove()


def _fetch(file: RemoteFile, partial: _PartialFile, max_bytes: int, patience: Patience) -> None:
    n_failures, furthest = 0, partial.size()
    with requests.Session() as session:
        while True:
            try:
                with temporary_failures(), _open(session, file, partial, patience) as response:
                    return _receive(response, file, partial, max_bytes)
            except TemporaryError as failure:
                n_failures = n_failures + 1 if partial.size() <= furthest else 1
                furthest = max(furthest, partial.size())
                if n_failures >= patience.attempts:
                    raise ConnectionError(
                        f"{without_secrets(file.url)} could not be downloaded in {n_failures} attempts ({failure}): "
                        "check the network and the URL, and run it again; the download will be resumed"
                    ) from None  # The cause would repeat the whole URL, which may contain a secret.
                wait = patience.wait(n_failures, failure.retry_after)
                logger.warning("%s: %s; next attempt in %.1f s", without_secrets(file.url), failure, wait)
            time.sleep(wait)


def _open(session: Session, file: RemoteFile, partial: _PartialFile, patience: Patience) -> Response:
    version = partial.version()
    rest = {} if version is None else {"Range": f"bytes={partial.size()}-", "If-Range": version}
    return get(session, file.url, rest, patience)


def _receive(response: Response, file: RemoteFile, partial: _PartialFile, max_bytes: int) -> None:
    if response.status_code == RANGE_NOT_SATISFIABLE and partial.size():
        partial.remove()
        raise TemporaryError("the file has changed since the download began")
    check_status(response, file.url)
    total = total_size(response)
    _check_size(file, total or 0, max_bytes)
    if response.status_code == OK:
        partial.start(version_of(response))
    elif version_of(response) != partial.version() or start_of_range(response) != partial.size():
        partial.remove()
        raise TemporaryError("the file has changed since the download began")
    size = partial.size()
    description = f"Download {without_secrets(file.url)}"
    with partial.path.open("ab") as stream, progress(description, total or 0, "bytes") as bar:
        for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
            size += len(chunk)
            _check_size(file, size, max_bytes)
            stream.write(chunk)
            bar.reach(size)
    if total is not None and size != total:
        raise TemporaryError(f"received {size:,} of {total:,} bytes")


def _check_size(file: RemoteFile, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise _UnusableFileError(
            f"{without_secrets(file.url)} is larger than max_bytes ({size:,} > {max_bytes:,}): raise max_bytes, or "
            "remove the file from the list"
        )


def _check_digest(file: RemoteFile, path: Path) -> None:
    if file.sha256 is None:
        return
    digest = file_digest(path)
    if digest != file.sha256:
        raise _UnusableFileError(
            f"{without_secrets(file.url)} has SHA-256 {digest}, not {file.sha256}: the file has changed, or the digest "
            "is wrong; check the file before you accept the new digest"
        )
