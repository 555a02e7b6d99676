"""Learns a tokenizer from the training documents and turns all documents into token ids."""

import logging
from collections.abc import Mapping
from pathlib import Path

from lmcore.config.tokenize import TokenizeConfig
from lmcore.text.documents.shards import shards_of
from lmcore.tokens.corpus.shards import write_shards
from lmcore.tokens.corpus.training_texts import TrainingTexts
from lmcore.tokens.tokenizer.training import learn_tokenizer
from tasks.context.environment import Environment
from tasks.context.prefect import task

logger = logging.getLogger(__name__)


@task
def tokenize_documents(
    config: TokenizeConfig, environment: Environment, *, weights: Mapping[str, float], clean_folder: Path, tokens: Path
) -> None:
    """Write the tokenizer, a shard per split, and their index into the folder ``tokens``.

    ``weights`` says how often the documents of each source stand in the training shard.
    """
    documents = shards_of(clean_folder)
    tokenizer = learn_tokenizer(TrainingTexts(documents, config.split), config.tokenizer)
    work = environment.pieces_folder("tokenize")
    with environment.start_workers() as workers:
        summary = write_shards(
            tokens,
            tokenizer,
            documents,
            config.split,
            weights=weights,
            work=work,
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
