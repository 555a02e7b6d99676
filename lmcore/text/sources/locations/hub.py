"""Data sets of the Hugging Face hub: downloads the files of a split, or streams its first rows."""

import datetime
import decimal
import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import zstandard

from lmcore.config.locations import Hub
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.damaged_files import read_record
from lmcore.runtime.files import atomic_file, write_json
from lmcore.text.sources.source_file import SourceFile

if TYPE_CHECKING:
    from datasets import DatasetBuilder

READABLE = frozenset({".parquet", ".jsonl", ".json", ".csv", ".tsv"})
TEMPORARY_STATUSES = (408, 429)
N_SHOWN = 3


def fetch_data_set(source: str, location: Hub, downloads: Path) -> list[SourceFile]:
    """Download the files of a split that ``downloads`` does not hold yet, or its first rows as one ``.jsonl.zst`` file.

    ``datasets.load_dataset`` decides which files belong to a configuration and a split. Files have the names that they
    have in the data set; the file of the first rows has the name of the split.

    Raises:
        UserError: naming the source, if there is no such data set, revision, configuration or split, or if its files
            have no rows that can be read.
        ConnectionError: naming the source, if the hub cannot be reached or does not deliver.
    """
    folder = downloads / "hub"
    if location.max_rows is not None:
        return [_fetch_first_rows(source, location, location.max_rows, folder)]
    names = _data_files(source, location, folder)
    files = []
    with progress(f"Download {location.dataset}", len(names), "files") as bar:
        for name in names:
            path = _fetch_file(source, location, name, folder)
            files.append(SourceFile(name, path, path.stat().st_size))
            bar.advance()
    return files


def _fetch_file(source: str, location: Hub, name: str, folder: Path) -> Path:
    # Imported here: it takes 0.17 s, which only runs with such a source have to wait.
    import huggingface_hub
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    with _explained(source, location):
        path = huggingface_hub.hf_hub_download(
            location.dataset, name, repo_type="dataset", revision=location.revision, cache_dir=folder
        )
    return Path(path)


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of a split."""

    files: tuple[str, ...]


def _data_files(source: str, location: Hub, folder: Path) -> list[str]:
    """The names of the split's files in the data set; kept after the first time, since a commit never changes."""
    record = folder / "splits" / f"{_key(location)}.json"
    if known := read_record(record, SplitFiles):
        return list(known.files)
    builder = _open(source, location, folder)
    root = f"hf://datasets/{location.dataset}@{location.revision}/"
    urls = [str(url) for url in builder.config.data_files[location.hub_split]]
    names = sorted(url.removeprefix(root) for url in urls)
    unusable = [name for name in names if "://" in name or not READABLE & set(PurePosixPath(name).suffixes[-2:])]
    if unusable:
        shown = ", ".join(unusable[:N_SHOWN])
        raise UserError(
            f"source {source!r}: {len(unusable)} files of split {location.hub_split!r} of {location.dataset} hold no "
            f"records ({shown}): set max_rows to stream their rows instead"
        )
    write_json(record, {**location.model_dump(exclude={"kind", "max_rows"}), "files": names})
    return names


def _fetch_first_rows(source: str, location: Hub, max_rows: int, folder: Path) -> SourceFile:
    name = f"{location.hub_split}.jsonl.zst"
    path = folder / "rows" / f"{_key(location)}-{max_rows}.jsonl.zst"
    if not path.exists():
        builder = _open(source, location, folder)
        with _explained(source, location), atomic_file(path) as temporary:
            rows = builder.as_streaming_dataset(split=location.hub_split).take(max_rows)
            if rows.features:
                rows = rows.decode(False)  # Images are not needed.
            with progress(f"Read {location.dataset}", max_rows, "rows") as bar:
                _write_rows(temporary, _counted(rows, bar.advance))
    return SourceFile(name, path, path.stat().st_size)


def _open(source: str, location: Hub, folder: Path) -> "DatasetBuilder":
    """The data set as ``datasets`` sees it, without its data.

    Raises:
        ValueError, ConnectionError: as :func:`fetch_data_set`.
    """
    # Importing it takes a second, which runs without such a source should not wait.
    import datasets

    datasets.disable_progress_bars()
    with _explained(source, location):
        builder = datasets.load_dataset_builder(
            # In this form, it is not mistaken for a local folder of the same name.
            f"hf://datasets/{location.dataset}",
            location.configuration,
            revision=location.revision,
            cache_dir=str(folder / "datasets"),
        )
    splits = sorted(map(str, builder.config.data_files or {}))
    if location.hub_split not in splits:
        raise UserError(
            f"source {source!r}: {location.dataset} has no split {location.hub_split!r} in configuration "
            f"{builder.config.name!r}: its splits are {', '.join(splits)}"
        )
    return builder


@contextmanager
def _explained(source: str, location: Hub) -> Iterator[None]:
    """Distinguish a hub that cannot be reached from a data set that does not exist."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (OSError, ValueError, RuntimeError, HfHubHTTPError, DatasetsError, *_network_failures()) as error:
        what = f"source {source!r}: {location.dataset} at revision {location.revision}"
        temporary = next(filter(_is_temporary, _causes(error)), None)
        if temporary is not None:
            raise ConnectionError(
                f"{what} could not be downloaded ({_in_one_line(temporary)}): check the network, and run it again; "
                "complete files are kept"
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # For example, the disk is full.
        raise UserError(f"{what} cannot be used ({_in_one_line(error)}): correct the source") from error


def _network_failures() -> tuple[type[Exception], ...]:
    # The HTTP library of huggingface_hub, under the name that it exports.
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    return (ConnectionError, TimeoutError, httpx.TransportError)


def _is_temporary(error: BaseException) -> bool:
    """Whether the network or the server failed, rather than the request being wrong."""
    from huggingface_hub.errors import HfHubHTTPError

    response = getattr(error, "response", None) if isinstance(error, HfHubHTTPError) else None
    if response is not None:
        return response.status_code in TEMPORARY_STATUSES or response.status_code >= 500
    return isinstance(error, _network_failures())


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _key(location: Hub) -> str:
    """The settings that decide which files are downloaded, as a name that every file system accepts."""
    what = [location.dataset, location.revision, location.configuration, location.hub_split]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _counted(rows: Iterable[dict[str, Any]], count: Any) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield row
        count()


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON lines, compressed with Zstandard; the same version of it gives equal bytes for equal rows."""
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as stream:
        for row in rows:
            stream.write(_to_json(row).encode("utf-8", "surrogatepass") + b"\n")


def _to_json(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, default=_plain)


def _finite(value: Any) -> Any:
    """The value with null instead of infinity and NaN, which JSON does not have."""
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _plain(value: Any) -> str | None:
    """A value that JSON has no type for: UTF-8 bytes, dates, times and decimals as text; other bytes as null."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta() | decimal.Decimal() | uuid.UUID():
            return str(value)
    raise TypeError(f"a row holds a {type(value).__name__}, which cannot be stored")
