"""Summarizes the ledger for human readers: the rules that decided about documents, and examples of their decisions."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.errors import UserError
from lmcore.text.documents.shards import batches_of, shards_of

Rows = npt.NDArray[np.int64]

RULE_COLUMNS = ("action", "rule", "score", "threshold")


def rules_of(ledger: Path) -> list[dict[str, Any]]:
    """Every rule in the ledger with its action, count, threshold and range of scores; most frequent first."""
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
    """A random sample of at most ``n_rows`` decisions of a rule.

    Args:
        ledger: the ledger that cleaning wrote, next to the clean documents.
        rule: name of the rule.
        n_rows: size of the sample.
        seed: seed of the sample.

    Returns:
        Rows of the ledger, each with ``changed_to``: the text of the clean document, or ``None`` if there is none.

    Raises:
        UserError: if the ledger has no such rule; the message lists those it has.
    """
    drawn = _draw(ledger, n_rows, seed)
    if rule not in drawn:
        known = ", ".join(sorted(drawn))
        raise UserError(f"no document was dropped or changed by {rule!r}; the rules are: {known}")
    chosen = list(take_rows(ledger, drawn[rule]).values())
    clean = _clean_texts(ledger.parent, [row["id"] for row in chosen if row["id"]])
    return [row | {"changed_to": clean.get(row["id"])} for row in chosen]


def examples_of(ledger: Path, n_rows: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """A random sample of at most ``n_rows`` rows of the ledger for every rule."""
    drawn = _draw(ledger, n_rows, seed)
    taken = take_rows(ledger, np.unique(np.concatenate([np.empty(0, np.int64), *drawn.values()])))
    return {rule: [taken[row] for row in rows.tolist()] for rule, rows in drawn.items()}


def _draw(ledger: Path, n_rows: int, seed: int) -> dict[str, Rows]:
    """The sorted row numbers of a random sample for every rule."""
    rules = pq.read_table(ledger, columns=["rule"])["rule"].combine_chunks().dictionary_encode()
    numbers = rules.indices.to_numpy()
    return {
        rule: np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(numbers == number))[:n_rows])
        for number, rule in enumerate(rules.dictionary.to_pylist())
    }


def _clean_texts(folder: Path, ids: Sequence[str]) -> dict[str, str]:
    """The texts of the clean documents with these ids, by id."""
    if not ids:
        return {}
    found: dict[str, str] = {}
    for batch in batches_of(shards_of(folder), ["id", "text"]):
        chosen = batch.filter(pc.is_in(batch["id"], pa.array(ids)))
        found |= zip(chosen["id"].to_pylist(), chosen["text"].to_pylist(), strict=True)
    return found


def take_rows(ledger: Path, rows: Rows) -> dict[int, dict[str, Any]]:
    """Rows of the ledger by their sorted row numbers; reads only the row groups that contain any, one at a time."""
    file = pq.ParquetFile(ledger)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    taken: dict[int, dict[str, Any]] = {}
    for group, (first, last) in enumerate(pairwise(np.searchsorted(rows, starts))):
        if first < last:
            own = rows[first:last]
            found = file.read_row_group(group).take(pa.array(own - starts[group])).to_pylist()
            taken |= zip(own.tolist(), found, strict=True)
    return taken
