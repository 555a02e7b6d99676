"""Cleans raw documents."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcore.config.clean import CleanConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.text.clean import clean
from lmcore.text.describing.drop_statistics import NOTABLE_RATIO
from tasks.context.environment import Environment
from tasks.context.inputs import require_documents
from tasks.context.prefect import task
from tasks.context.stage_code import artifact_cache

LABEL_LIMIT = "beyond_label_budget"

logger = logging.getLogger(__name__)


@task
def clean_documents(
    config: CleanConfig, fractions: SplitFractions, environment: Environment, *, raw: Path, clean_folder: Path
) -> None:
    """Clean the documents of ``raw``, and write documents, ledger, summary, corpus page and data card."""
    require_documents(raw)
    cache = artifact_cache(environment, "clean")
    with environment.start_workers() as workers:
        summary = clean(raw, clean_folder, config, fractions, cache=cache, workers=workers)
    megabytes, words = summary["bytes"] / 1e6, summary["words"]
    logger.info("Kept %s documents, %.1f MB, %s words", f"{summary['kept']:,}", megabytes, f"{words:,}")
    for action in ("dropped", "changed", "unreadable"):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary[f"{action}_by_reason"].items())
        if reasons or action != "unreadable":
            logger.info("%s documents: %s", action.capitalize(), reasons or "none")
    for source in summary["drop_statistics"]:
        _report_drops(source, config)


def _report_drops(source: Mapping[str, Any], config: CleanConfig) -> None:
    """Log which rules dropped many documents of a source, with examples and the parameter that decides.

    It is a warning, unless the drops are few or come from a size limit that the configuration sets for this source.
    """
    name, n_documents = source["source"], source["documents"]
    has_own_limit = isinstance(config.max_bytes_per_label, dict)
    n_intended = sum(rule["count"] for rule in source["rules"] if has_own_limit and rule["rule"] == LABEL_LIMIT)
    is_notable = source["dropped"] - n_intended > NOTABLE_RATIO * n_documents
    for rule in source["rules"]:
        is_intended = has_own_limit and rule["rule"] == LABEL_LIMIT
        if not is_notable and not is_intended:
            continue
        setting = f"; to change this, set clean.{rule['setting']} in params.yaml" if rule["setting"] else ""
        logger.log(
            logging.INFO if is_intended else logging.WARNING,
            "Source %r lost %s of its %s documents (%.0f %%) to the rule %s%s. Examples: %s",
            name,
            f"{rule['count']:,}",
            f"{n_documents:,}",
            100 * rule["count"] / n_documents,
            rule["rule"],
            setting,
            " | ".join(rule["examples"]),
        )
