"""How many documents each source lost to cleaning, by rule, with examples."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmcore.text.cleaning.reasons import RULES
from lmcore.text.describing.excerpts import excerpt
from lmcore.text.describing.ledger import take_rows

NOTABLE_RATIO = 0.1
"""A source is reported if more than this ratio of its documents was dropped."""
NOTABLE_RATIO_OF_RULE = 0.01
"""A rule is reported for a source if it dropped more than this ratio of the source's documents."""
N_EXAMPLES, EXAMPLE_CHARACTERS = 3, 100


def drop_statistics(
    ledger: Path, collected: Mapping[str, Mapping[str, Any]], mask: Callable[[str], str]
) -> list[dict[str, Any]]:
    """The sources that lost more than a tenth of their documents, as JSON values.

    Args:
        ledger: the ledger that cleaning wrote.
        collected: for each source, the number of its collected ``documents``.
        mask: masks personal data in a text.

    Returns:
        For each such source its name, the number of its ``documents`` and of those ``dropped``, and the ``rules`` that
        dropped many: name, ``count``, the ``setting`` that controls the rule, and shortened ``examples``.
    """
    rows = pq.read_table(ledger, columns=["action", "rule", "source"])
    sources, rules = (rows[name].combine_chunks().dictionary_encode() for name in ("source", "rule"))
    is_dropped = pc.equal(rows["action"], "dropped").to_numpy()
    source_numbers, rule_numbers = (names.indices.to_numpy() for names in (sources, rules))
    found = []
    for number, source in enumerate(sources.dictionary.to_pylist()):
        own = is_dropped & (source_numbers == number)
        n_dropped, n_documents = int(np.count_nonzero(own)), collected[source]["documents"]
        if n_dropped <= NOTABLE_RATIO * n_documents:
            continue
        counts = np.bincount(rule_numbers[own], minlength=len(rules.dictionary))
        notable = [
            rule for rule in np.argsort(-counts, kind="stable") if counts[rule] > NOTABLE_RATIO_OF_RULE * n_documents
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
                        "setting": RULES[name].setting,
                        "examples": _examples(ledger, np.flatnonzero(own & (rule_numbers == rule)), mask),
                    }
                    for rule in notable
                ],
            }
        )
    return found


def _examples(ledger: Path, rows: Any, mask: Callable[[str], str]) -> list[str]:
    """Excerpts of a reproducible random sample of the rows."""
    drawn = np.sort(np.random.default_rng(0).permutation(rows)[:N_EXAMPLES])
    return [excerpt(row, EXAMPLE_CHARACTERS, mask) for row in take_rows(ledger, drawn).values()]
