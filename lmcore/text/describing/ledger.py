"""The ledger read by people: which rules there are, and some of what each of them did."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.text.shards import batches_of, shards_of

RULE_COLUMNS = ("action", "rule", "score", "threshold")


def rules_of(ledger: Path) -> list[dict[str, Any]]:
    """Every rule with its action, how often it decided, and the range of its scores; the busiest first."""
    grouped = pq.read_table(ledger, columns=list(RULE_COLUMNS)).group_by(["action", "rule"], use_threads=False)
    found = grouped.aggregate([("rule", "count"), ("score", "min"), ("score", "max"), ("threshold", "max")])
    rules = [
        {
            "action": row["action"],
            "rule": row["rule"],
            "count": row["rule_count"],
            "lowest_score": row["score_min"],
            "highest_score": row["score_max"],
            "threshold": row["threshold_max"],
        }
        for row in found.to_pylist()
    ]
    return sorted(rules, key=lambda rule: (-rule["count"], rule["rule"]))


def decisions_of(ledger: Path, rule: str, n_rows: int, seed: int) -> list[dict[str, Any]]:
    """Some rows of a rule, drawn at random; all of them where they are not so many.

    As the ledger has them, and with ``changed_to``: the text of the clean document, where there is one.

    Raises:
        ValueError: if the ledger knows no such rule; it lists those that there are.
    """
    rules = pq.read_table(ledger, columns=["rule"])["rule"]
    rows = np.flatnonzero(pc.equal(rules, rule).to_numpy())
    if not len(rows):
        known = ", ".join(sorted(set(rules.to_pylist())))
        raise ValueError(f"no document was dropped or changed by {rule!r}; the rules are: {known}")
    chosen = _take(ledger, sorted(np.random.default_rng(seed).permutation(rows)[:n_rows].tolist()))
    clean = _clean_texts(ledger.parent, [row["id"] for row in chosen if row["id"]])
    return [row | {"changed_to": clean.get(row["id"])} for row in chosen]


def _clean_texts(folder: Path, ids: Sequence[str]) -> dict[str, str]:
    """The texts of some clean documents by their ids."""
    if not ids:
        return {}
    found: dict[str, str] = {}
    for batch in batches_of(shards_of(folder), ["id", "text"]):
        some = batch.filter(pc.is_in(batch["id"], pa.array(ids)))
        found |= zip(some["id"].to_pylist(), some["text"].to_pylist(), strict=True)
    return found


def _take(ledger: Path, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Rows by their numbers, a batch of the file in memory at a time."""
    taken: list[dict[str, Any]] = []
    start = 0
    for batch in pq.ParquetFile(ledger).iter_batches():
        here = [row - start for row in rows if start <= row < start + len(batch)]
        taken += batch.take(pa.array(here, pa.int64())).to_pylist()
        start += len(batch)
    return taken
