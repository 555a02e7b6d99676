"""Learns a tokenizer from the training documents and turns all documents into token ids."""

import logging
from pathlib import Path

from lmcore.files import atomic_folder
from lmcore.text.documents import read_table
from lmcore.text.split import divide_by_split
from lmcore.tokens.config import TokenizeConfig
from lmcore.tokens.shards import write_shards
from lmcore.tokens.tokenizer import Tokenizer
from tasks.step import step

logger = logging.getLogger(__name__)


@step()
def tokenize_documents(config: TokenizeConfig, *, clean_folder: Path, tokens: Path) -> None:
    """Write the tokenizer, a shard per split, and their index into the folder ``tokens``."""
    splits = divide_by_split(read_table(clean_folder / "documents.parquet"), config.split)
    tokenizer = Tokenizer.train(splits["train"]["text"].to_pylist(), config.tokenizer)
    with atomic_folder(tokens) as folder:
        summary = write_shards(folder, tokenizer, splits)
    for split, size in summary["splits"].items():
        logger.info(
            "%s: %s documents, %s tokens of %.2f characters",
            split,
            f"{size['n_documents']:,}",
            f"{size['n_tokens']:,}",
            size["characters_per_token"],
        )
