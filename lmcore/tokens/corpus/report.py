"""How well a tokenizer fits a corpus: for those who choose its kind and size."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

REPORT = "tokenizer.md"
TOKENS_PER_PORTION = 4_000_000
SHOWN_TOKENS = 30


def dtype_of(vocabulary: Vocabulary) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest format of whole numbers that holds every token id."""
    return np.dtype("<u2" if vocabulary.size <= 2**16 else "<u4")


def token_rates(shard: Path, size: Mapping[str, int], tokenizer: Tokenizer) -> dict[str, float]:
    """What a split's tokens are worth: characters, bytes and words they stand for, and how many are unknown or used.

    Args:
        shard: its token ids.
        size: its ``n_tokens``, ``n_characters``, ``n_bytes`` and ``n_words``.
        tokenizer: that made them.
    """
    counts = _count(shard, tokenizer)
    n_tokens = size["n_tokens"]
    unknown = tokenizer.unknown_id
    rates = {
        "characters_per_token": size["n_characters"] / n_tokens,
        "bytes_per_token": size["n_bytes"] / n_tokens,
        "tokens_per_word": n_tokens / max(size["n_words"], 1),
        "unknown_ratio": 0.0 if unknown is None else float(counts[unknown]) / n_tokens,
        "used_vocabulary_ratio": float((counts > 0).mean()),
    }
    return {name: round(rate, 4) for name, rate in rates.items()}


def render_report(tokenizer: Tokenizer, summary: Mapping[str, Any], shard: Path) -> str:
    """A page of Markdown: the rates of each split, and the tokens that are most frequent and longest.

    Args:
        tokenizer: that made the tokens.
        summary: of the shards.
        shard: the training split's token ids.
    """
    return "\n".join(_lines(tokenizer, summary, _count(shard, tokenizer))) + "\n"


def _lines(tokenizer: Tokenizer, summary: Mapping[str, Any], counts: npt.NDArray[np.int64]) -> Iterator[str]:
    yield from ("# Tokenizer", "", f"{summary['vocabulary_size']:,} tokens.", "")
    if lost := tokenizer.lost_features:
        yield f"It does not keep {', '.join(lost)}: bits per byte of its models are not comparable with others'."
        yield ""
    rates = ("characters_per_token", "bytes_per_token", "tokens_per_word", "unknown_ratio", "used_vocabulary_ratio")
    yield "| split | documents | tokens | " + " | ".join(rate.replace("_", " ") for rate in rates) + " |"
    yield "|---" * (3 + len(rates)) + "|"
    for split, size in summary["splits"].items():
        figures = " | ".join(f"{size[rate]:.4g}" for rate in rates)
        yield f"| {split} | {size['n_documents']:,} | {size['n_tokens']:,} | {figures} |"
    frequent = np.lexsort((np.arange(len(counts)), -counts))[:SHOWN_TOKENS]
    yield from ("", "Most frequent, with their counts in the training split:", "")
    yield ", ".join(f"{_shown(tokenizer, token)} {counts[token]:,}" for token in frequent.tolist())
    used = np.flatnonzero(counts).tolist()
    longest = sorted(used, key=lambda token: (-len(tokenizer.decode([token])), token))[:SHOWN_TOKENS]
    yield from ("", "Longest:", "")
    yield ", ".join(_shown(tokenizer, token) for token in longest)


def _shown(tokenizer: Tokenizer, token: int) -> str:
    text = tokenizer.decode([token]) or tokenizer.name_of(token)
    visible = text.replace("\n", "\u21b5").replace(" ", "\u2423").replace("`", "'")
    return f"`{visible}`"


def _count(shard: Path, tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """How often each token stands in a shard, int64 (vocabulary,)."""
    counts = np.zeros(tokenizer.vocabulary.size, np.int64)
    with shard.open("rb") as file:
        # Not mapped: of a file that is read to its end all would be resident.
        while len(tokens := np.fromfile(file, dtype_of(tokenizer.vocabulary), TOKENS_PER_PORTION)):
            counts += np.bincount(tokens, minlength=len(counts))
    return counts
