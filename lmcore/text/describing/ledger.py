"""The ledger read by people: which rules there are, and some of what each of them did."""

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
    drawn = _draw(ledger, n_rows, seed)
    if rule not in drawn:
        known = ", ".join(sorted(drawn))
        raise UserError(f"no document was dropped or changed by {rule!r}; the rules are: {known}")
    chosen = list(take_rows(ledger, drawn[rule]).values())
    clean = _clean_texts(ledger.parent, [row["id"] for row in chosen if row["id"]])
    return [row | {"changed_to": clean.get(row["id"])} for row in chosen]


def examples_of(ledger: Path, n_rows: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Some rows of every rule, drawn at random, as the ledger has them."""
    drawn = _draw(ledger, n_rows, seed)
    taken = take_rows(ledger, np.unique(np.concatenate([np.empty(0, np.int64), *drawn.values()])))
    return {rule: [taken[row] for row in rows.tolist()] for rule, rows in drawn.items()}


def _draw(ledger: Path, n_rows: int, seed: int) -> dict[str, Rows]:
    """Numbers of some rows of every rule, in order."""
    rules = pq.read_table(ledger, columns=["rule"])["rule"].combine_chunks().dictionary_encode()
    numbers = rules.indices.to_numpy()
    return {
        rule: np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(numbers == number))[:n_rows])
        for number, rule in enumerate(rules.dictionary.to_pylist())
    }


def _clean_texts(folder: Path, ids: Sequence[str]) -> dict[str, str]:
    """The texts of some clean documents by their ids."""
    if not ids:
        return {}
    found: dict[str, str] = {}
    for batch in batches_of(shards_of(folder), ["id", "text"]):
        some = batch.filter(pc.is_in(batch["id"], pa.array(ids)))
        found |= zip(some["id"].to_pylist(), some["text"].to_pylist(), strict=True)
    return found


def take_rows(ledger: Path, rows: Rows) -> dict[int, dict[str, Any]]:
    """Rows by their sorted numbers: of the file's groups only those that hold some, one at a time."""
    file = pq.ParquetFile(ledger)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    taken: dict[int, dict[str, Any]] = {}
    for group, (first, last) in enumerate(pairwise(np.searchsorted(rows, starts))):
        if first < last:
            here = rows[first:last]
            found = file.read_row_group(group).take(pa.array(here - starts[group])).to_pylist()
            taken |= zip(here.tolist(), found, strict=True)
    return taken
