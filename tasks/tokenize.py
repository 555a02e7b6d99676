"""Learns a tokenizer from the training documents and turns all documents into token ids."""

import logging
from pathlib import Path

from lmcore.files import atomic_folder
from lmcore.text.documents import read_table
from lmcore.text.split import divide_by_split
from lmcore.tokens.config import TokenizeConfig
from lmcore.tokens.learning import learn_tokenizer
from lmcore.tokens.shards import write_shards
from tasks.step import step

logger = logging.getLogger(__name__)


@step()
def tokenize_documents(config: TokenizeConfig, *, clean_folder: Path, tokens: Path) -> None:
    """Write the tokenizer, a shard per split, and their index into the folder ``tokens``."""
    splits = divide_by_split(read_table(clean_folder / "documents.parquet"), config.split)
    train = splits["train"]
    # A translation has words that no text has.
    texts = [*train["text"].to_pylist(), *train["target"].drop_null().to_pylist()]
    tokenizer = learn_tokenizer(texts, config.tokenizer)
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
