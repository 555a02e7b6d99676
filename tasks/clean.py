"""Cleans raw documents."""

import logging
from pathlib import Path

from lmcore.files import write_json
from lmcore.text.clean import clean, summarize
from lmcore.text.config import CleanConfig
from lmcore.text.documents import read_table, write_table
from tasks.environment import Environment
from tasks.step import step

logger = logging.getLogger(__name__)


@step()
def clean_documents(config: CleanConfig, environment: Environment, *, raw: Path, clean_folder: Path) -> None:
    """Write the clean documents, the ledger of the dropped ones, and ``summary.json`` with their counts."""
    cleaning = clean(read_table(raw / "documents.parquet"), config, n_workers=environment.workers)
    summary = summarize(cleaning)
    write_table(clean_folder / "documents.parquet", cleaning.kept)
    write_table(clean_folder / "ledger.parquet", cleaning.ledger)
    write_json(clean_folder / "summary.json", summary)
    megabytes, words = summary["bytes"] / 1e6, summary["words"]
    logger.info("Kept %s documents, %.1f MB, %s words", f"{summary['kept']:,}", megabytes, f"{words:,}")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["dropped_by_reason"].items())
    logger.info("Dropped %s documents: %s", f"{summary['dropped']:,}", reasons or "none")
