"""Why a document was dropped or changed: as a value, and as rows of a table."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

REASON_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
"""A row of a shard and what was decided about it: also the fields of :class:`Reason`."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a document was dropped, or what was changed in it.

    Attributes:
        rule: name of the failure or the change.
        score: what was measured, where the rule measures something.
        threshold: from ``params.yaml``, where the rule has one.
        detail: anything a person needs besides to follow the decision.
    """

    rule: str
    score: float | None = None
    threshold: float | None = None
    detail: str | None = None


def reason_table(reasons: Iterable[tuple[int, Reason]]) -> pa.Table:
    """Rows of a shard with their reasons, as a table."""
    rows = [(row, reason.rule, reason.score, reason.threshold, reason.detail) for row, reason in reasons]
    columns = list(zip(*rows, strict=True)) or [()] * len(REASON_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REASON_SCHEMA, strict=True)]
    return pa.table(arrays, schema=REASON_SCHEMA)
