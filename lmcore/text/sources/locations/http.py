"""HTTP as downloads need it: retries and waiting times, temporary failures, and what headers say about a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3
from requests import Response, Session

from lmcore.errors import UserError

TOO_MANY_REQUESTS, REQUEST_TIMEOUT = 429, 408
OK, PARTIAL_CONTENT, NOT_MODIFIED, RANGE_NOT_SATISFIABLE = 200, 206, 304, 416
NOT_FOUND, NOT_ALLOWED = (404, 410), (401, 403)
# Uncompressed bytes: content that is compressed for the transfer would have another size and digest.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "lmcore"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a download is attempted, and timeouts and waiting times in seconds.

    Attributes:
        attempts: consecutive attempts without new bytes after which a download fails.
        first_wait: before the second attempt; doubles with each further attempt without new bytes.
        longest_wait: the limit of that doubling.
        longest_retry_after: the longest wait that a server may ask for.
        connect: timeout for the connection.
        read: timeout for the next bytes.
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


class TemporaryError(Exception):
    """A temporary failure of the network or the server; the server may say after how many seconds to try again."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@contextmanager
def temporary_failures() -> Iterator[None]:
    """Raise failures of the network as :class:`TemporaryError`, and other failures of a request as a user's error."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise TemporaryError(_innermost(error)) from error
    except requests.RequestException as error:
        # The cause would repeat the whole URL, which may contain a secret.
        raise UserError(f"the URL cannot be used, or redirects to one that cannot: {type(error).__name__}") from None


def get(session: Session, url: str, headers: dict[str, str], patience: Patience) -> Response:
    """Send a request; the body of the response is not read yet."""
    timeout = (patience.connect, patience.read)
    return session.get(url, headers=HEADERS | headers, stream=True, timeout=timeout)


def check_status(response: Response, url: str) -> None:
    """Check that a response brings a file or a part of it.

    Raises:
        TemporaryError: if the server is overloaded or fails.
        UserError: if there is no file, or it is not accessible.
    """
    status = response.status_code
    if status in (OK, PARTIAL_CONTENT):
        return
    shown = without_secrets(url)
    if status in (TOO_MANY_REQUESTS, REQUEST_TIMEOUT) or status >= 500:
        raise TemporaryError(f"the server returned status {status}", _retry_after(response))
    if status in NOT_FOUND:
        raise UserError(f"there is no file at {shown} (status {status}): correct the URL")
    if status in NOT_ALLOWED:
        raise UserError(f"{shown} is not accessible (status {status}): download it and use the local file")
    raise UserError(f"{shown} returned status {status} instead of a file: correct the URL")


def without_secrets(url: str) -> str:
    """A URL to show: without a password, and without the query, which may contain keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def version_of(response: Response) -> str | None:
    """``ETag``, else ``Last-Modified``; a weak ``ETag`` does not identify the bytes of a file (RFC 9110)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def total_size(response: Response) -> int | None:
    """The size of the whole file in bytes, if the server reports it."""
    if response.status_code == PARTIAL_CONTENT:
        text = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def start_of_range(response: Response) -> int | None:
    """The position in the file of the first byte that the server sends."""
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
    """The first cause of an error, without the URL, which may contain secrets."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {error}"
