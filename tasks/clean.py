"""Cleans raw documents."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcore.config.clean import CleanConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.text.clean import clean
from lmcore.text.describing.losses import NOTABLE_SHARE
from tasks.context.environment import Environment
from tasks.context.prefect import task

BUDGET = "beyond_label_budget"

logger = logging.getLogger(__name__)


@task
def clean_documents(
    config: CleanConfig, fractions: SplitFractions, environment: Environment, *, raw: Path, clean_folder: Path
) -> None:
    """Write the clean documents, the ledger of the dropped and changed ones, and ``summary.json`` with their counts."""
    work = environment.pieces_folder("clean")
    with environment.start_workers() as workers:
        summary = clean(raw, clean_folder, config, fractions, work=work, workers=workers)
    megabytes, words = summary["bytes"] / 1e6, summary["words"]
    logger.info("Kept %s documents, %.1f MB, %s words", f"{summary['kept']:,}", megabytes, f"{words:,}")
    for action in ("dropped", "changed", "unreadable"):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary[f"{action}_by_reason"].items())
        if reasons or action != "unreadable":
            logger.info("%s documents: %s", action.capitalize(), reasons or "none")
    for loss in summary["losses"]:
        _tell_loss(loss, config)


def _tell_loss(loss: Mapping[str, Any], config: CleanConfig) -> None:
    """Say what a source lost to each rule, some of it, and which setting decides.

    A limit that names the source is intended and not a reason for a warning, nor are a few other drops.
    """
    source, n_documents = loss["source"], loss["documents"]
    has_limit = isinstance(config.max_bytes_per_label, dict)
    n_wanted = sum(rule["count"] for rule in loss["rules"] if has_limit and rule["rule"] == BUDGET)
    is_large = loss["dropped"] - n_wanted > NOTABLE_SHARE * n_documents
    for rule in loss["rules"]:
        is_wanted = has_limit and rule["rule"] == BUDGET
        if not is_large and not is_wanted:
            continue
        examples = " | ".join(rule["examples"])
        share = 100 * rule["count"] / n_documents
        setting = f"; to change that, set clean.{rule['setting']} in params.yaml" if rule["setting"] else ""
        logger.log(
            logging.INFO if is_wanted else logging.WARNING,
            "Source %r lost %s of its %s documents (%.0f %%) to the rule %s%s. Examples: %s",
            source,
            f"{rule['count']:,}",
            f"{n_documents:,}",
            share,
            rule["rule"],
            setting,
            examples,
        )
