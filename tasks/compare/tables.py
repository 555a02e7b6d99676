"""What the pages of comparisons share: tables, numbers, the machine."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmcore.tokens.corpus.shards import TokenShards
from tasks.context.machine import machine_facts


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are right-aligned."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_interval(estimate: Mapping[str, Any]) -> str:
    """A value with the ends of its interval."""
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def bits_per_byte_of(shards: TokenShards, split: str, nats_per_token: float) -> float:
    """A loss per token as bits per byte of a split."""
    n_tokens, n_bytes = int(shards.offsets(split)[-1]), int(shards.n_bytes(split).sum())
    return nats_per_token / math.log(2.0) * n_tokens / n_bytes


def machine_note() -> str:
    """The machine on which times were measured."""
    facts = machine_facts()
    device = facts.get("gpu.name") or facts.get("machine.processor", "unknown processor")
    return f"measured on {device}, {facts.get('machine.cores', '?')} cores"
