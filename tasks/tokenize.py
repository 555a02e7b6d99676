"""Trains a tokenizer on the training documents and encodes all documents as token ids."""

import logging
from collections.abc import Mapping
from pathlib import Path

from lmcore.config.tokenize import TokenizeConfig
from lmcore.text.documents.shards import shards_of
from lmcore.tokens.corpus.shards import write_shards
from lmcore.tokens.corpus.training_texts import TrainingTexts
from lmcore.tokens.tokenizer.training import train_tokenizer
from tasks.context.environment import Environment
from tasks.context.inputs import require_documents
from tasks.context.prefect import task
from tasks.context.stage_code import artifact_cache

logger = logging.getLogger(__name__)


@task
def tokenize_documents(
    config: TokenizeConfig, environment: Environment, *, weights: Mapping[str, float], clean_folder: Path, tokens: Path
) -> None:
    """Write the tokenizer, a shard for each split, and their index into the folder ``tokens``.

    ``weights`` maps each source to how often its documents are repeated in the training shard.
    """
    require_documents(clean_folder)
    documents = shards_of(clean_folder)
    tokenizer = train_tokenizer(TrainingTexts(documents, config.split), config.tokenizer)
    cache = artifact_cache(environment, "tokenize")
    with environment.start_workers() as workers:
        summary = write_shards(
            tokens,
            tokenizer,
            documents,
            config.split,
            weights=weights,
            cache=cache,
            workers=workers,
            target_separator=config.target_separator,
        )
    for split, size in summary["splits"].items():
        logger.info(
            "%s: %s documents, %s tokens of %.2f characters",
            split,
            f"{size['n_documents']:,}",
            f"{size['n_tokens']:,}",
            size["characters_per_token"],
        )
