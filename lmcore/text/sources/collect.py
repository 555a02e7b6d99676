"""Reads all sources into document shards, in an order that depends on content alone, and records read errors."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.config.collect import CollectConfig, ReadingLimits, Source
from lmcore.config.readers import ParallelLines
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import atomic_folder, write_json
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import READ_ERROR_SCHEMA, ReadError, to_table
from lmcore.text.documents.shards import READ_ERRORS, SUMMARY, ShardWriter, concatenate, link_shards, write_table
from lmcore.text.sources.notes import Notes, describe_note, merge_notes
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.scan import ScannedSource
from lmcore.text.sources.snapshot import Snapshot
from lmcore.text.sources.source_file import HashedFile

logger = logging.getLogger(__name__)

MIN_GROUP_BYTES = 2_000_000
MAX_GROUP_BYTES = 16_000_000
FILES_PER_BORDER = 8
"""One in this many files, chosen by a hash of its name, may end a group."""


class StrictReadingError(UserError):
    """Strict reading encountered input that cannot be used."""


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files of one source that are read together: the unit of work of one process."""

    source: Source
    limits: ReadingLimits
    files: tuple[HashedFile, ...]

    def key(self, cache: ArtifactCache) -> str:
        """Its key in the cache: the same for the same content, read in the same way."""
        contents = [
            "\0".join(map(str, (file.name, file.package, file.version, file.license, file.n_above, entry.sha256)))
            for entry in self.files
            for file in [entry.file]
        ]
        source = self.source
        return cache.key("collect", source.name, source.reader, source.split, source.license, self.limits, *contents)


def collect(
    config: CollectConfig,
    sources: Mapping[str, ScannedSource],
    raw: Path,
    *,
    cache: ArtifactCache,
    workers: Workers,
) -> dict[str, Any]:
    """Read all sources into the folder ``raw``; the result depends neither on the workers nor on the cache.

    Args:
        config: the sources, the limits, and whether reading is strict.
        sources: the scanned sources, by their names.
        raw: replaced as a whole by document shards, the read errors and a summary.
        cache: keeps what was read of each group of files.
        workers: the processes that read.

    Returns:
        The summary: documents and bytes by source and label, read errors by reason.

    Raises:
        StrictReadingError: at the first read error, if ``config.strict`` is true.
        UserError: if a source gives no document.
    """
    errors = [error for source in config.sources for error in sources[source.name].read_errors]
    if config.strict:
        _refuse_read_errors([asdict(error) for error in errors])
    groups = [
        group for source in config.sources for group in group_files(source, config.limits, sources[source.name].files)
    ]
    done: list[Path] = []
    with progress("Collect", sum(len(group.files) for group in groups), "files") as bar:
        for group, folder in zip(groups, workers.map(partial(read_group, cache=cache), groups), strict=True):
            done.append(folder)
            bar.advance(len(group.files))
            if config.strict:
                _refuse_read_errors(pq.read_table(folder / READ_ERRORS).to_pylist())
    summary = _merge([json.loads((folder / SUMMARY).read_bytes()) for folder in done], errors)
    for name, counts in summary["sources"].items():
        for what, note in counts["notes"].items():
            logger.log(
                logging.WARNING if note["is_warning"] else logging.INFO, "%s: %s", name, describe_note(what, note)
            )
    _check_every_source_has_documents(config, summary, done)
    for source in config.sources:
        summary["sources"][source.name]["origin"] = _origin(source, sources[source.name].snapshot)
    with atomic_folder(raw) as target:
        link_shards(done, target)
        tables = (pq.read_table(folder / READ_ERRORS) for folder in done)
        concatenate(chain([to_table(errors, READ_ERROR_SCHEMA)], tables), target / READ_ERRORS, READ_ERROR_SCHEMA)
        write_json(target / SUMMARY, summary)
    cache.prune({folder.name for folder in done})
    return summary


def group_files(source: Source, limits: ReadingLimits, files: Sequence[HashedFile]) -> Iterator[FileGroup]:
    """Divide the files of a source into groups of 2 to 16 MB.

    A group ends with a file that a hash of its name selects, so that a new file changes only the group that it falls
    into: the other groups, and what is cached of them, stay the same.
    """
    if isinstance(source.reader, ParallelLines):
        yield FileGroup(source, limits, tuple(files))
        return
    group: list[HashedFile] = []
    n_bytes = 0
    for file in files:
        group.append(file)
        n_bytes += file.file.size
        if n_bytes >= MAX_GROUP_BYTES or (n_bytes >= MIN_GROUP_BYTES and _is_border(file.file.name)):
            yield FileGroup(source, limits, tuple(group))
            group, n_bytes = [], 0
    if group:
        yield FileGroup(source, limits, tuple(group))


def read_group(group: FileGroup, *, cache: ArtifactCache) -> Path:
    """The folder of a group's documents, read errors and counts: from the cache, or read now."""
    return cache.get_or_compute(group.key(cache), partial(_read, group))


def _read(group: FileGroup, folder: Path) -> None:
    errors: list[ReadError] = []
    labels: dict[str, dict[str, Any]] = {}
    notes = Notes()
    with ShardWriter(folder) as shards:
        for found in read_files(group.source, [entry.file for entry in group.files], group.limits, notes):
            if isinstance(found, ReadError):
                errors.append(found)
                continue
            shards.add(found)
            empty = {"documents": 0, "bytes": 0, "version": found.version, "license": found.license}
            label = labels.setdefault(found.label or "", empty)
            label["documents"] += 1
            label["bytes"] += len(found.text.encode())
    write_table(folder / READ_ERRORS, to_table(errors, READ_ERROR_SCHEMA))
    write_json(
        folder / SUMMARY,
        {
            "source": group.source.name,
            "labels": labels,
            "read_errors_by_reason": Counter(error.reason for error in errors),
            "notes": notes.summary(),
        },
    )


def _is_border(name: str) -> bool:
    return blake2b(name.encode(), digest_size=2).digest()[0] % FILES_PER_BORDER == 0


def _merge(groups: Sequence[Mapping[str, Any]], errors: Sequence[ReadError]) -> dict[str, Any]:
    sources: dict[str, dict[str, Any]] = {}
    reasons = Counter(error.reason for error in errors)
    for group in groups:
        source = sources.setdefault(group["source"], {"documents": 0, "bytes": 0, "labels": {}, "notes": {}})
        source["notes"] = merge_notes((source["notes"], group["notes"]))
        reasons.update(group["read_errors_by_reason"])
        for name, counts in group["labels"].items():
            label = source["labels"].setdefault(name, {**counts, "documents": 0, "bytes": 0})
            for total in (source, label):
                total["documents"] += counts["documents"]
                total["bytes"] += counts["bytes"]
    return {
        "documents": sum(source["documents"] for source in sources.values()),
        "bytes": sum(source["bytes"] for source in sources.values()),
        "read_errors": reasons.total(),
        "read_errors_by_reason": dict(sorted(reasons.items())),
        "sources": sources,
    }


def _origin(source: Source, snapshot: Snapshot) -> dict[str, Any]:
    """The provenance of a source, for the data card."""
    contents = json.dumps({name: asdict(content) for name, content in snapshot.contents.items()}, sort_keys=True)
    return {
        "attribution": source.attribution,
        "license": source.license,
        "weight": source.weight,
        "revision": snapshot.revision,
        "files": snapshot.n_files,
        "file_bytes": snapshot.n_bytes,
        "sha256": hashlib.sha256(contents.encode()).hexdigest(),
    }


def _refuse_read_errors(errors: Sequence[Mapping[str, Any]]) -> None:
    if errors:
        raise StrictReadingError(f"source {errors[0]['source']!r}: {_describe(errors[0])}")


def _check_every_source_has_documents(config: CollectConfig, summary: Mapping[str, Any], done: Sequence[Path]) -> None:
    for source in config.sources:
        if summary["sources"].get(source.name, {}).get("documents"):
            continue
        tables = pa.concat_tables([pq.read_table(folder / READ_ERRORS) for folder in done])
        errors = tables.filter(pc.field("source") == source.name)
        first = "".join(f"; the first: {_describe(error)}" for error in errors.slice(0, 1).to_pylist())
        raise UserError(f"source {source.name!r} has no usable document ({len(errors)} read errors{first})")


def _describe(error: Mapping[str, Any]) -> str:
    where = error["path"] if error["line"] is None else f"{error['path']}, line {error['line']}"
    return f"{where}: {error['reason']}: {error['detail']}"
