"""What each source lost to cleaning: by which rule, how much, with examples."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.text.cleaning.reasons import SETTINGS
from lmcore.text.describing.excerpts import excerpt
from lmcore.text.describing.ledger import take_rows

NOTABLE_SHARE = 0.1
"""A source that loses more of its documents is spoken of,"""
NOTABLE_SHARE_OF_RULE = 0.01
"""with the rules that dropped more than this share of them."""
N_EXAMPLES, EXAMPLE_CHARACTERS = 3, 100


def losses_of(
    ledger: Path, collected: Mapping[str, Mapping[str, Any]], mask: Callable[[str], str]
) -> list[dict[str, Any]]:
    """The sources that lost more than a tenth of their documents, as JSON values.

    Args:
        ledger: of the cleaning.
        collected: by source, with the number of its ``documents``.
        mask: makes personal data unreadable.

    Returns:
        For each source its name, the ``documents`` it had and those ``dropped``, and the ``rules`` that dropped many:
        their name and ``count``, the ``setting`` of the cleaning that decides, and some ``examples``, shortened.
    """
    rows = pq.read_table(ledger, columns=["action", "rule", "source"])
    sources, rules = (rows[name].combine_chunks().dictionary_encode() for name in ("source", "rule"))
    is_dropped = pc.equal(rows["action"], "dropped").to_numpy()
    source_numbers, rule_numbers = (names.indices.to_numpy() for names in (sources, rules))
    found = []
    for number, source in enumerate(sources.dictionary.to_pylist()):
        own = is_dropped & (source_numbers == number)
        n_dropped, n_documents = int(np.count_nonzero(own)), collected[source]["documents"]
        if n_dropped <= NOTABLE_SHARE * n_documents:
            continue
        counts = np.bincount(rule_numbers[own], minlength=len(rules.dictionary))
        notable = [
            rule for rule in np.argsort(-counts, kind="stable") if counts[rule] > NOTABLE_SHARE_OF_RULE * n_documents
        ]
        found.append(
            {
                "source": source,
                "documents": n_documents,
                "dropped": n_dropped,
                "rules": [
                    {
                        "rule": (name := rules.dictionary[int(rule)].as_py()),
                        "count": int(counts[rule]),
                        "setting": SETTINGS.get(name),
                        "examples": _examples(ledger, np.flatnonzero(own & (rule_numbers == rule)), mask),
                    }
                    for rule in notable
                ],
            }
        )
    return found


def _examples(ledger: Path, rows: Any, mask: Callable[[str], str]) -> list[str]:
    """Excerpts of some rows, a reproducible random sample."""
    drawn = np.sort(np.random.default_rng(0).permutation(rows)[:N_EXAMPLES])
    return [excerpt(row, EXAMPLE_CHARACTERS, mask) for row in take_rows(ledger, drawn).values()]
