"""Collects raw documents from the sources."""

import logging
from pathlib import Path

from lmcore.files import write_json
from lmcore.text.collect import collect, summarize
from lmcore.text.config import CollectConfig
from lmcore.text.documents import to_table, write_table
from tasks.environment import Environment
from tasks.step import step

logger = logging.getLogger(__name__)


@step(retries=2)
def collect_documents(config: CollectConfig, environment: Environment, *, raw: Path) -> None:
    """Read all sources; write ``documents.parquet`` and ``summary.json``, which also names what was unreadable."""
    reading = collect(config, n_workers=environment.workers)
    summary = summarize(reading)
    write_table(raw / "documents.parquet", to_table(reading.documents))
    write_json(raw / "summary.json", summary)
    for name, source in summary["sources"].items():
        logger.info(
            "%s: %s documents, %.1f MB%s",
            name,
            f"{source['documents']:,}",
            source["bytes"] / 1e6,
            f", {n_labels} labels" if (n_labels := len(source["labels"].keys() - {""})) else "",
        )
    if reading.faults:
        reasons = ", ".join(f"{reason} {count}" for reason, count in summary["faults_by_reason"].items())
        logger.info("Not usable: %s; each is in %s", reasons, raw / "summary.json")
