"""Read every source: documents in an order that content alone decides, and what could not be read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lmcore.progress import progress
from lmcore.text.config import CollectConfig, InstalledDocumentation, Lines, ParallelText, Source, TextFolder
from lmcore.text.sources.documentation import plan_documentation
from lmcore.text.documents import Fault, Piece, Reading
from lmcore.text.sources.text_files import plan_files
from lmcore.text.sources.lines import plan_lines
from lmcore.text.workers import Workers
from lmcore.text.sources.records import plan_records


def collect(config: CollectConfig, *, n_workers: int) -> Reading:
    """Documents and faults of all sources, in the order of the sources; the same for any number of workers.

    Raises:
        ValueError: if a source is not there, or holds no usable document.
    """
    # All sources are looked for before any is read, so that a wrong name costs no time.
    pieces = [piece for source in config.sources for piece in plan(source)]
    whole = Reading()
    n_files = sum(piece.size for piece in pieces)
    with Workers(n_workers) as workers, progress("Collect", n_files, "files") as work:
        for piece, reading in zip(pieces, workers.map(_read, pieces), strict=True):
            whole.documents.extend(reading.documents)
            whole.faults.extend(reading.faults)
            work.advance(piece.size)
    _check_every_source_gave(config, whole)
    return whole


def plan(source: Source) -> Sequence[Piece]:
    """Divide a source into pieces of work, in the order in which its documents stand in the result.

    Raises:
        ValueError: if the source is not there.
    """
    match source:
        case InstalledDocumentation():
            return plan_documentation(source)
        case TextFolder():
            return plan_files(source)
        case Lines() | ParallelText():
            return plan_lines(source)
        case _:
            return plan_records(source)


def summarize(reading: Reading) -> dict[str, Any]:
    """Counts by source and label with version and license, and every fault with its place."""
    sources: dict[str, Any] = {}
    for document in reading.documents:
        source = sources.setdefault(document.source, {"documents": 0, "bytes": 0, "labels": {}})
        label = source["labels"].setdefault(
            document.label or "",
            {"documents": 0, "bytes": 0, "version": document.version, "license": document.license},
        )
        for count in (source, label):
            count["documents"] += 1
            count["bytes"] += len(document.text.encode())
    return {
        "documents": len(reading.documents),
        "bytes": sum(source["bytes"] for source in sources.values()),
        "sources": sources,
        "faults_by_reason": dict(sorted(Counter(fault.reason for fault in reading.faults).items())),
        "faults": [asdict(fault) for fault in reading.faults],
    }


def _read(piece: Piece) -> Reading:
    return piece.read()


def _check_every_source_gave(config: CollectConfig, reading: Reading) -> None:
    for source in config.sources:
        if any(document.source == source.name for document in reading.documents):
            continue
        faults = [fault for fault in reading.faults if fault.source == source.name]
        first = "".join(f"; first fault: {_describe(fault)}" for fault in faults[:1])
        raise ValueError(f"source {source.name!r} holds no usable document ({len(faults)} faults{first})")


def _describe(fault: Fault) -> str:
    place = fault.path if fault.line is None else f"{fault.path}, line {fault.line}"
    return f"{place}: {fault.reason}: {fault.detail}"
