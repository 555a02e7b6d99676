"""Files from URLs: their names, and the folders that they are downloaded to."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from lmcore.config.locations import RemoteFile, Urls
from lmcore.errors import UserError
from lmcore.text.sources.locations.download import download, renew
from lmcore.text.sources.locations.http import PATIENCE, Patience, without_secrets
from lmcore.text.sources.source_file import SourceFile

LONGEST_NAME = 150


def fetch_files(source: str, location: Urls, downloads: Path, patience: Patience = PATIENCE) -> list[SourceFile]:
    """Download the files that ``downloads`` does not hold yet; return all of them in the order of their URLs.

    A file that was downloaded before is used even if it has changed at its URL, unless the configuration has another
    digest; :func:`renew_files` downloads newer versions. The name of a file is its URL without the scheme and without
    the folders that all URLs of the source have in common.

    Raises:
        UserError: naming the source and the URL, if there is no such file, it is too large or has another digest.
        ConnectionError: naming the source and the URL, if the server cannot be reached or does not deliver.
    """
    fetched = []
    for file, name, path in _targets(source, location, downloads):
        with _errors_name(source):
            download(file, path, location.max_bytes, patience)
        fetched.append(SourceFile(name, path, path.stat().st_size))
    return fetched


def renew_files(source: str, location: Urls, downloads: Path, patience: Patience = PATIENCE) -> None:
    """Download again the files that have changed at their URLs, except those whose digest is given.

    Raises:
        UserError, ConnectionError: as :func:`fetch_files`, if there is a newer version that cannot be downloaded.
    """
    for file, _, path in _targets(source, location, downloads):
        with _errors_name(source):
            renew(file, path, location.max_bytes, patience)


def _targets(source: str, location: Urls, downloads: Path) -> Iterator[tuple[RemoteFile, str, Path]]:
    """Yield each file, its name, and the path to download it to."""
    files = list({file.url: file for file in location.files}.values())
    names = _names(source, [file.url for file in files])
    for file, name in zip(files, names, strict=True):
        yield file, name, downloads / "urls" / hashlib.sha256(file.url.encode()).hexdigest() / _name_on_disk(name)


@contextmanager
def _errors_name(source: str) -> Iterator[None]:
    """Put the name of the source in front of the messages of errors."""
    try:
        yield
    except ConnectionError as error:
        raise ConnectionError(f"source {source!r}: {error}") from error
    except ValueError as error:
        raise UserError(f"source {source!r}: {error}") from error


def _names(source: str, urls: list[str]) -> list[str]:
    """The URLs without the scheme and without the folders that all of them have in common."""
    all_parts = [_parts(url) for url in urls]
    n_common = 0
    while all(len(parts) > n_common + 1 and parts[n_common] == all_parts[0][n_common] for parts in all_parts):
        n_common += 1
    names = ["/".join(parts[n_common:]) for parts in all_parts]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    if repeated:
        same = ", ".join(without_secrets(url) for url, name in zip(urls, names, strict=True) if name in repeated)
        raise UserError(
            f"source {source!r}: several URLs have files with the same name ({same}): put each in a source of its own"
        )
    return names


def _parts(url: str) -> list[str]:
    """The host, and the parts of the path, unquoted."""
    address = urlsplit(url)
    return [address.netloc.rpartition("@")[2], *map(_unquoted, filter(None, address.path.split("/")))]


def _unquoted(part: str) -> str:
    """A part of a path, unquoted, unless the result could not be part of a file name."""
    unquoted = unquote(part)
    return part if "/" in unquoted or not unquoted.isprintable() else unquoted


def _name_on_disk(name: str) -> str:
    """The end of a name, which shows the format, quoted so that every file system accepts it."""
    return quote(name.rpartition("/")[2])[-LONGEST_NAME:]
