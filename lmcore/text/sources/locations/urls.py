"""Files from addresses: what they are called, and where they are kept."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from lmcore.config.collect import RemoteFile, Urls
from lmcore.errors import UserError
from lmcore.text.sources.locations.download import PATIENCE, Patience, download, renew, shown
from lmcore.text.sources.source_file import SourceFile

LONGEST_NAME = 150


def fetch_files(source: str, location: Urls, downloads: Path, patience: Patience = PATIENCE) -> list[SourceFile]:
    """Fetch the files of the addresses that ``downloads`` does not hold, in their order.

    A file is kept by its address: if it has changed there since, the one that was fetched remains, unless
    ``params.yaml`` asks for another digest or :func:`renew_files` for another version. It is named by the part of its
    address behind the folder that all have in common.

    Raises:
        ValueError: naming the source and the address, if there is no such file, it is too large or has another digest.
        ConnectionError: naming the source and the address, if the server cannot be reached or does not deliver.
    """
    fetched = []
    for file, name, path in _places(source, location, downloads):
        with _naming(source):
            download(file, path, location.max_bytes, patience)
        fetched.append(SourceFile(name, path, path.stat().st_size))
    return fetched


def renew_files(source: str, location: Urls, downloads: Path, patience: Patience = PATIENCE) -> None:
    """Fetch what has another version at its address than the one that was fetched, except where a digest is given.

    Raises:
        ValueError, ConnectionError: as :func:`fetch_files`, if there is another version that cannot be had.
    """
    for file, _, path in _places(source, location, downloads):
        with _naming(source):
            renew(file, path, location.max_bytes, patience)


def _places(source: str, location: Urls, downloads: Path) -> Iterator[tuple[RemoteFile, str, Path]]:
    """Each file, its name, and where it is kept."""
    files = list({file.url: file for file in location.files}.values())
    names = _names(source, [file.url for file in files])
    for file, name in zip(files, names, strict=True):
        yield file, name, downloads / "urls" / hashlib.sha256(file.url.encode()).hexdigest() / _name_on_disk(name)


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Let errors name the source."""
    try:
        yield
    except ConnectionError as error:
        raise ConnectionError(f"source {source!r}: {error}") from error
    except ValueError as error:
        raise UserError(f"source {source!r}: {error}") from error


def _names(source: str, urls: list[str]) -> list[str]:
    """What stands in the addresses behind the folder that all have in common."""
    places = [_place(url) for url in urls]
    n_common = 0
    while all(len(place) > n_common + 1 and place[n_common] == places[0][n_common] for place in places):
        n_common += 1
    names = ["/".join(place[n_common:]) for place in places]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    if repeated:
        same = ", ".join(shown(url) for url, name in zip(urls, names, strict=True) if name in repeated)
        raise UserError(f"source {source!r}: several addresses give files of one name ({same}): make a source of each")
    return names


def _place(url: str) -> list[str]:
    """The host, and the parts of the path in plain letters."""
    address = urlsplit(url)
    return [address.netloc.rpartition("@")[2], *map(_plain, filter(None, address.path.split("/")))]


def _plain(part: str) -> str:
    """A part of a path in plain letters; one that would not be a part of a path then is left as it is."""
    plain = unquote(part)
    return part if "/" in plain or not plain.isprintable() else plain


def _name_on_disk(name: str) -> str:
    """The end of a name, which tells its format, as every file system takes it."""
    return quote(name.rpartition("/")[2])[-LONGEST_NAME:]
