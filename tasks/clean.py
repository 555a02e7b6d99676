"""Cleans raw documents."""

import logging
from pathlib import Path

from lmcore.text.clean import clean
from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.config import SplitFractions
from tasks.environment import Environment
from tasks.step import step

logger = logging.getLogger(__name__)


@step()
def clean_documents(
    config: CleanConfig, fractions: SplitFractions, environment: Environment, *, raw: Path, clean_folder: Path
) -> None:
    """Write the clean documents, the ledger of the dropped and changed ones, and ``summary.json`` with their counts."""
    work = environment.pieces_folder("clean")
    with environment.start_workers() as workers:
        summary = clean(raw, clean_folder, config, fractions, work=work, workers=workers)
    megabytes, words = summary["bytes"] / 1e6, summary["words"]
    logger.info("Kept %s documents, %.1f MB, %s words", f"{summary['kept']:,}", megabytes, f"{words:,}")
    for action in ("dropped", "changed"):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary[f"{action}_by_reason"].items())
        logger.info("%s documents: %s", action.capitalize(), reasons or "none")
