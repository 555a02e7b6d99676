"""Collects raw documents from the sources."""

import logging
from dataclasses import replace
from pathlib import Path

from lmcore.config.collect import CollectConfig
from lmcore.config.locations import Urls
from lmcore.errors import UserError
from lmcore.text.documents.shards import READ_ERRORS
from lmcore.text.sources.collect import StrictReadingError, collect
from lmcore.text.sources.locations.urls import renew_files
from lmcore.text.sources.scan import scan_sources
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.context.source_lock import check_sources, read_lock, write_lock
from tasks.context.stage_code import artifact_cache

logger = logging.getLogger(__name__)


@task(retries=2)
def collect_documents(config: CollectConfig, environment: Environment, *, lock: Path, raw: Path) -> None:
    """Read all sources, which must hold what ``lock`` says, and write document shards, read errors and a summary."""
    with environment.start_workers() as workers:
        sources = scan_sources(config.sources, environment.downloads_folder, workers)
        check_sources(read_lock(lock).sources, {name: source.snapshot for name, source in sources.items()})
        try:
            summary = collect(config, sources, raw, cache=artifact_cache(environment, "collect"), workers=workers)
        except StrictReadingError as error:
            raise UserError(f"{error} (collect.strict is true)") from error
    for name, source in summary["sources"].items():
        logger.info(
            "%s: %s documents, %.1f MB%s",
            name,
            f"{source['documents']:,}",
            source["bytes"] / 1e6,
            f", {n_labels} labels" if (n_labels := len(source["labels"].keys() - {""})) else "",
        )
    if summary["read_errors"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["read_errors_by_reason"].items())
        logger.info("Read errors: %s; see %s", reasons, raw / READ_ERRORS)


def refresh_lock(config: CollectConfig, environment: Environment, *, lock: Path) -> list[str]:
    """Write what every source holds now to ``lock``; files at addresses are fetched again if they have changed.

    Returns:
        A line for each change, sorted.
    """
    locked = read_lock(lock)
    before = locked.sources
    for source in config.sources:
        if isinstance(source.location, Urls):
            renew_files(source.name, source.location, environment.downloads_folder)
    with environment.start_workers() as workers:
        sources = scan_sources(config.sources, environment.downloads_folder, workers)
    now = {name: source.snapshot for name, source in sources.items()}
    changes = [f"{name}: source is gone" for name in before.keys() - now.keys()]
    for name, found in now.items():
        if name not in before:
            changes.append(f"{name}: source is new ({found.n_files:,} files, {found.n_bytes / 1e6:.1f} MB)")
        else:
            changes += [f"{name}: {change}" for change in found.changes_since(before[name])]
    if before != now:
        write_lock(lock, replace(locked, sources=now))
    return sorted(changes)
