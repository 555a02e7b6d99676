"""Local data sets of the library ``datasets``: the files of a split."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lmcore.config.locations import LocalDataSet
from lmcore.errors import UserError
from lmcore.text.sources.source_file import SourceFile

READABLE = frozenset({".arrow", ".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv"})
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
N_SHOWN = 3


def find_data_set(source: str, location: LocalDataSet, downloads: Path) -> list[SourceFile]:
    """Find the files of a split; their names are relative to the folder.

    The folder was written by ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``, or is one whose splits
    ``datasets.load_dataset`` recognizes. No code in it is run.

    Raises:
        UserError: naming the source, if there is no such folder or split, or if its files have no rows that can be
            read.
    """
    folder = Path(location.path)
    if not folder.is_dir():
        raise UserError(f"source {source!r}: there is no folder {folder}: correct the path or add the data set")
    try:
        splits = _saved_splits(folder) or _found_splits(folder, location.configuration, downloads)
    except (ValueError, KeyError, TypeError, OSError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"source {source!r}: {folder} is not a data set that datasets can open ({problem})") from error
    files = _chosen(source, location, splits)
    root = folder.resolve()
    outside = [file for file in files if not file.resolve().is_relative_to(root)]
    if outside:
        raise UserError(f"source {source!r}: {folder} links to {len(outside)} files outside it ({outside[0]})")
    unusable = [file for file in files if not READABLE & set(PurePosixPath(file.name.lower()).suffixes[-2:])]
    if unusable or not files:
        shown = ", ".join(file.name for file in unusable[:N_SHOWN]) or "there are none"
        raise UserError(
            f"source {source!r}: {len(unusable)} files of {folder} hold no rows ({shown}): read them with "
            "`kind: local`, or write the data set with its `save_to_disk`"
        )
    return [SourceFile(file.resolve().relative_to(root).as_posix(), file, file.stat().st_size) for file in files]


def _chosen(source: str, location: LocalDataSet, splits: Mapping[str | None, list[Path]]) -> list[Path]:
    """The files of the configured split, or of the only one."""
    if location.dataset_split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if location.dataset_split not in splits:
        known = ", ".join(str(split) for split in splits if split is not None) or "none (dataset_split must be null)"
        raise UserError(
            f"source {source!r}: {location.path} has no split {location.dataset_split!r}: its splits are {known}; name "
            "one as `dataset_split`"
        )
    return splits[location.dataset_split]


def _saved_splits(folder: Path) -> dict[str | None, list[Path]]:
    """The files of each split that ``save_to_disk`` wrote; empty if the folder was not written by it."""
    if (folder / SAVED_SPLITS).is_file():
        splits = json.loads((folder / SAVED_SPLITS).read_bytes())["splits"]
        return {str(split): _saved_files(folder / str(split))[1] for split in splits}
    if (folder / SAVED).is_file():
        split, files = _saved_files(folder)
        return {split: files}
    return {}


def _saved_files(folder: Path) -> tuple[str | None, list[Path]]:
    state = json.loads((folder / SAVED).read_bytes())
    return state.get("_split"), [folder / str(file["filename"]) for file in state["_data_files"]]


def _found_splits(folder: Path, configuration: str | None, downloads: Path) -> dict[str | None, list[Path]]:
    # Imported here: it takes a second, which only runs with such a source have to wait.
    import datasets

    builder = datasets.load_dataset_builder(str(folder.resolve()), configuration, cache_dir=str(downloads / "datasets"))
    return {str(split): [Path(str(file)) for file in files] for split, files in builder.config.data_files.items()}
