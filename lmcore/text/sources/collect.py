"""Reads every source, piece by piece: documents in an order that content alone decides, and what could not be read."""

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

from lmcore.config.collect import CollectConfig, ParallelLines, ReadingLimits, Source
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import atomic_folder, write_json
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import FAULT_SCHEMA, Fault, to_table
from lmcore.text.documents.shards import FAULTS, SUMMARY, ShardWriter, concatenate, link_shards, write_table
from lmcore.text.sources.files import PinnedFile
from lmcore.text.sources.lock import Pin
from lmcore.text.sources.notes import Notes, describe_note, merge_notes
from lmcore.text.sources.pinning import PinnedSource
from lmcore.text.sources.reading import read_files

logger = logging.getLogger(__name__)

LEAST_BYTES_PER_PIECE = 2_000_000
MOST_BYTES_PER_PIECE = 16_000_000
FILES_BETWEEN_BORDERS = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """Some files of one source: what one process reads at a time."""

    source: Source
    limits: ReadingLimits
    files: tuple[PinnedFile, ...]

    def key(self, cache: ArtifactCache) -> str:
        """Its key in the cache: the same for the same content, read the same way."""
        contents = [
            "\0".join(map(str, (file.name, file.package, file.version, file.license, file.n_above, entry.sha256)))
            for entry in self.files
            for file in [entry.file]
        ]
        source = self.source
        return cache.key("collect", source.name, source.reader, source.split, source.license, self.limits, *contents)


def collect(
    config: CollectConfig,
    sources: Mapping[str, PinnedSource],
    raw: Path,
    *,
    cache: ArtifactCache,
    workers: Workers,
) -> dict[str, Any]:
    """Read all sources into the folder ``raw``; the result does not depend on the workers, nor on the cache.

    Args:
        config: the sources.
        sources: as they are now, by their names.
        raw: replaced as a whole by document shards, the faults and a summary.
        cache: keeps what was read for the next time.
        workers: that read.

    Returns:
        The summary: counts by source and label, and of faults by reason.

    Raises:
        ValueError: if a source holds no usable document, or if anything is unusable and ``strict`` is true.
    """
    faults = [fault for source in config.sources for fault in sources[source.name].faults]
    if config.strict:
        _refuse_faults([asdict(fault) for fault in faults])
    pieces = [piece for source in config.sources for piece in divide(source, config.limits, sources[source.name].files)]
    done: list[Path] = []
    with progress("Collect", sum(len(piece.files) for piece in pieces), "files") as progressed:
        for piece, folder in zip(pieces, workers.map(partial(read_piece, cache=cache), pieces), strict=True):
            done.append(folder)
            progressed.advance(len(piece.files))
            if config.strict:
                _refuse_faults(pq.read_table(folder / FAULTS).to_pylist())
    summary = _merge([json.loads((folder / SUMMARY).read_bytes()) for folder in done], faults)
    for name, counts in summary["sources"].items():
        for what, note in counts["notes"].items():
            logger.log(
                logging.WARNING if note["is_warning"] else logging.INFO, "%s: %s", name, describe_note(what, note)
            )
    _check_every_source_gave(config, summary, done)
    for source in config.sources:
        summary["sources"][source.name]["origin"] = _origin(source, sources[source.name].pin)
    with atomic_folder(raw) as target:
        link_shards(done, target)
        tables = (pq.read_table(folder / FAULTS) for folder in done)
        concatenate(chain([to_table(faults, FAULT_SCHEMA)], tables), target / FAULTS, FAULT_SCHEMA)
        write_json(target / SUMMARY, summary)
    cache.prune({folder.name for folder in done})
    return summary


def divide(source: Source, limits: ReadingLimits, files: Sequence[PinnedFile]) -> Iterator[Piece]:
    """Divide the files of a source into pieces of work.

    Borders stand behind files that a hash of their name chooses, so that a new file changes the piece it falls into
    and leaves the others, and what was read of them, as they were.
    """
    if isinstance(source.reader, ParallelLines):
        yield Piece(source, limits, tuple(files))
        return
    chosen: list[PinnedFile] = []
    n_bytes = 0
    for file in files:
        chosen.append(file)
        n_bytes += file.file.size
        if n_bytes >= MOST_BYTES_PER_PIECE or (n_bytes >= LEAST_BYTES_PER_PIECE and _is_border(file.file.name)):
            yield Piece(source, limits, tuple(chosen))
            chosen, n_bytes = [], 0
    if chosen:
        yield Piece(source, limits, tuple(chosen))


def read_piece(piece: Piece, *, cache: ArtifactCache) -> Path:
    """The folder of a piece: its documents, faults and counts."""
    return cache.get_or_compute(piece.key(cache), partial(_read, piece))


def _read(piece: Piece, folder: Path) -> None:
    faults: list[Fault] = []
    labels: dict[str, dict[str, Any]] = {}
    notes = Notes()
    with ShardWriter(folder) as shards:
        for entry in read_files(piece.source, [pinned.file for pinned in piece.files], piece.limits, notes):
            if isinstance(entry, Fault):
                faults.append(entry)
                continue
            shards.add(entry)
            empty = {"documents": 0, "bytes": 0, "version": entry.version, "license": entry.license}
            label = labels.setdefault(entry.label or "", empty)
            label["documents"] += 1
            label["bytes"] += len(entry.text.encode())
    write_table(folder / FAULTS, to_table(faults, FAULT_SCHEMA))
    write_json(
        folder / SUMMARY,
        {
            "source": piece.source.name,
            "labels": labels,
            "faults_by_reason": Counter(fault.reason for fault in faults),
            "notes": notes.summary(),
        },
    )


def _is_border(name: str) -> bool:
    return blake2b(name.encode(), digest_size=2).digest()[0] % FILES_BETWEEN_BORDERS == 0


def _merge(pieces: Sequence[Mapping[str, Any]], faults: Sequence[Fault]) -> dict[str, Any]:
    sources: dict[str, dict[str, Any]] = {}
    reasons = Counter(fault.reason for fault in faults)
    for piece in pieces:
        source = sources.setdefault(piece["source"], {"documents": 0, "bytes": 0, "labels": {}, "notes": {}})
        source["notes"] = merge_notes((source["notes"], piece["notes"]))
        reasons.update(piece["faults_by_reason"])
        for name, counts in piece["labels"].items():
            label = source["labels"].setdefault(name, {**counts, "documents": 0, "bytes": 0})
            for total in (source, label):
                total["documents"] += counts["documents"]
                total["bytes"] += counts["bytes"]
    return {
        "documents": sum(source["documents"] for source in sources.values()),
        "bytes": sum(source["bytes"] for source in sources.values()),
        "faults": reasons.total(),
        "faults_by_reason": dict(sorted(reasons.items())),
        "sources": sources,
    }


def _origin(source: Source, pin: Pin) -> dict[str, Any]:
    """Where a source is from, for those who ask later."""
    contents = json.dumps({name: asdict(content) for name, content in pin.contents.items()}, sort_keys=True)
    return {
        "attribution": source.attribution,
        "license": source.license,
        "weight": source.weight,
        "revision": pin.revision,
        "files": pin.n_files,
        "file_bytes": pin.n_bytes,
        "sha256": hashlib.sha256(contents.encode()).hexdigest(),
    }


def _refuse_faults(faults: Sequence[Mapping[str, Any]]) -> None:
    if faults:
        first = f"source {faults[0]['source']!r}: {_describe(faults[0])}"
        raise UserError(f"{first} (collect.strict is true)")


def _check_every_source_gave(config: CollectConfig, summary: Mapping[str, Any], done: Sequence[Path]) -> None:
    for source in config.sources:
        if summary["sources"].get(source.name, {}).get("documents"):
            continue
        tables = pa.concat_tables([pq.read_table(folder / FAULTS) for folder in done])
        faults = tables.filter(pc.field("source") == source.name)
        first = "".join(f"; first fault: {_describe(fault)}" for fault in faults.slice(0, 1).to_pylist())
        raise UserError(f"source {source.name!r} holds no usable document ({len(faults)} faults{first})")


def _describe(fault: Mapping[str, Any]) -> str:
    place = fault["path"] if fault["line"] is None else f"{fault['path']}, line {fault['line']}"
    return f"{place}: {fault['reason']}: {fault['detail']}"
