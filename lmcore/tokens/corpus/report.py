"""How well a tokenizer fits a corpus: numbers and a report for choosing its kind and vocabulary size."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.tokens.corpus.encoding import token_dtype
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

REPORT = "tokenizer.md"
TOKENS_AT_ONCE = 4_000_000
SHOWN_TOKENS = 30
COLUMNS = {
    "characters_per_token": "characters per token",
    "bytes_per_token": "bytes per token",
    "tokens_per_word": "tokens per word",
    "unknown_ratio": "unknown tokens",
    "used_vocabulary_ratio": "vocabulary used",
}
"""The statistics in the table of splits, and their headings; ratios are shown in percent."""


def token_statistics(shard: Path, size: Mapping[str, int], tokenizer: Tokenizer) -> dict[str, float]:
    """Statistics of the tokens of a split, rounded to four digits.

    Args:
        shard: the file with the split's token ids.
        size: its ``n_tokens``, ``n_characters``, ``n_bytes`` and ``n_words``.
        tokenizer: the tokenizer that encoded it.

    Returns:
        Characters and bytes per token, tokens per word, the ratio of unknown tokens to all tokens, and the ratio of the
        vocabulary that occurs.
    """
    counts = _count_tokens(shard, tokenizer)
    n_tokens = size["n_tokens"]
    unknown = tokenizer.unknown_id
    statistics = {
        "characters_per_token": size["n_characters"] / n_tokens,
        "bytes_per_token": size["n_bytes"] / n_tokens,
        "tokens_per_word": n_tokens / max(size["n_words"], 1),
        "unknown_ratio": 0.0 if unknown is None else float(counts[unknown]) / n_tokens,
        "used_vocabulary_ratio": float((counts > 0).mean()),
    }
    return {name: round(value, 4) for name, value in statistics.items()}


def render_report(tokenizer: Tokenizer, summary: Mapping[str, Any], shard: Path) -> str:
    """A Markdown report: statistics of each split, and the most frequent and the longest tokens.

    Args:
        tokenizer: the tokenizer that encoded the corpus.
        summary: the summary of the shards.
        shard: the file with the training split's token ids.
    """
    return "\n".join(_lines(tokenizer, summary, _count_tokens(shard, tokenizer))) + "\n"


def _lines(tokenizer: Tokenizer, summary: Mapping[str, Any], counts: npt.NDArray[np.int64]) -> Iterator[str]:
    yield from ("# Tokenizer", "", f"Vocabulary: {summary['vocabulary_size']:,} tokens.", "")
    if lost := tokenizer.lost_features:
        yield (
            f"The tokenizer does not preserve {', '.join(lost)}: do not compare bits per byte of its models with those "
            "of models with other tokenizers."
        )
        yield ""
    yield "| split | documents | tokens | " + " | ".join(COLUMNS.values()) + " |"
    yield "|---" + "|---:" * (2 + len(COLUMNS)) + "|"
    for split, size in summary["splits"].items():
        values = (f"{size[name]:.1%}" if name.endswith("_ratio") else f"{size[name]:.2f}" for name in COLUMNS)
        yield f"| {split} | {size['n_documents']:,} | {size['n_tokens']:,} | {' | '.join(values)} |"
    frequent = np.lexsort((np.arange(len(counts)), -counts))[:SHOWN_TOKENS]
    yield from ("", "## Most frequent tokens", "", "With their counts in the training split:", "")
    yield ", ".join(f"{_shown(tokenizer, token)} {counts[token]:,}" for token in frequent.tolist())
    used = np.flatnonzero(counts).tolist()
    longest = sorted(used, key=lambda token: (-len(tokenizer.decode([token])), token))[:SHOWN_TOKENS]
    yield from ("", "## Longest tokens", "", "Among those that occur in the training split:", "")
    yield ", ".join(_shown(tokenizer, token) for token in longest)


def _shown(tokenizer: Tokenizer, token: int) -> str:
    text = tokenizer.decode([token]) or tokenizer.name_of(token)
    visible = text.replace("\n", "\u21b5").replace(" ", "\u2423").replace("`", "'")
    return f"`{visible}`"


def _count_tokens(shard: Path, tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """How often each token occurs in a shard, int64 (vocabulary,)."""
    counts = np.zeros(tokenizer.vocabulary.size, np.int64)
    with shard.open("rb") as file:
        # Not memory-mapped, because a mapped file that is read to its end stays resident as a whole.
        while len(tokens := np.fromfile(file, token_dtype(tokenizer.vocabulary), TOKENS_AT_ONCE)):
            counts += np.bincount(tokens, minlength=len(counts))
    return counts
