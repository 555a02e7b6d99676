"""Small tables of documents."""

from typing import Any

import pyarrow as pa

from lmcore.config.tokenize import SplitFractions
from lmcore.text.split import document_id

FRACTIONS = SplitFractions(validation=0.2, test=0.2)
TEXTS = [f"Summary of {number}.\n\nThe body that follows {number}." for number in range(50)]
LABELS = [None if number % 10 == 0 else f"label {number % 3}" for number in range(50)]
TARGETS = [None if number % 2 else f"target {number}" for number in range(50)]
DOCUMENTS = pa.table(
    {
        "id": [document_id(text) for text in TEXTS],
        "split": pa.nulls(len(TEXTS), pa.string()),
        "text": TEXTS,
        "label": LABELS,
        "target": TARGETS,
    }
)


class Limits:
    """The part of a training configuration that data depend on."""

    max_eval_samples, batch_size = 3, 4


def table_of(**columns: Any) -> pa.Table:
    """Forty documents, whose columns are made from their numbers."""
    n_rows = 40
    given = {"id": [f"{number}" for number in range(n_rows)], "split": ["train", "validation"] * 20}
    types = {"split": pa.string(), "target": pa.string()}
    values = {name: [make(number) for number in range(n_rows)] for name, make in columns.items()}
    return pa.table({name: pa.array(column, types.get(name)) for name, column in (given | values).items()})
