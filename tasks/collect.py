"""Collects raw documents from the sources."""

import logging
from dataclasses import replace
from pathlib import Path

from lmcore.config.collect import CollectConfig, Urls
from lmcore.text.sources.collect import collect
from lmcore.text.sources.lock import check, differences, read_lock, write_lock
from lmcore.text.sources.pinning import pin_sources
from lmcore.text.sources.urls import renew_files
from tasks.context.environment import Environment
from tasks.context.prefect import task

logger = logging.getLogger(__name__)


@task(retries=2)
def collect_documents(config: CollectConfig, environment: Environment, *, lock: Path, raw: Path) -> None:
    """Read all sources, which must be what ``lock`` pins; write document shards, faults and ``summary.json``."""
    with environment.start_workers() as workers:
        sources = pin_sources(config.sources, environment.downloads_folder, workers)
        check(read_lock(lock).sources, {name: source.pin for name, source in sources.items()})
        summary = collect(config, sources, raw, work=environment.pieces_folder("collect"), workers=workers)
    for name, source in summary["sources"].items():
        logger.info(
            "%s: %s documents, %.1f MB%s",
            name,
            f"{source['documents']:,}",
            source["bytes"] / 1e6,
            f", {n_labels} labels" if (n_labels := len(source["labels"].keys() - {""})) else "",
        )
    if summary["faults"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["faults_by_reason"].items())
        logger.info("Not usable: %s; each is in %s", reasons, raw / "faults.parquet")


def refresh_lock(config: CollectConfig, environment: Environment, *, lock: Path) -> list[str]:
    """Pin what every source holds now, also at its address; returns what is other than it was, in words."""
    pinned = read_lock(lock)
    before = pinned.sources
    for source in config.sources:
        if isinstance(source.location, Urls):
            renew_files(source.name, source.location, environment.downloads_folder)
    with environment.start_workers() as workers:
        sources = pin_sources(config.sources, environment.downloads_folder, workers)
    now = {name: source.pin for name, source in sources.items()}
    changes = [f"{name}: source is gone" for name in before.keys() - now.keys()]
    for name, found in now.items():
        if name not in before:
            changes.append(f"{name}: source is new ({found.n_files:,} files, {found.n_bytes / 1e6:.1f} MB)")
        else:
            changes += [f"{name}: {change}" for change in differences(before[name], found)]
    if before != now:
        write_lock(lock, replace(pinned, sources=now))
    return sorted(changes)
