"""What a probe finds: a table of numbers with intervals, and in one sentence how they were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from lmcore.evaluation.result import Estimate, Unit


@dataclass(frozen=True)
class ProbeRow:
    """A number under certain conditions.

    Attributes:
        conditions: the value of each condition, in text.
        n_items: how many texts or pairs it is from.
        estimate: the number with its interval.
    """

    conditions: tuple[str, ...]
    n_items: int
    estimate: Estimate


@dataclass(frozen=True)
class Probe:
    """The result of one probe of one model.

    Attributes:
        name: its key in results.
        title: its title in reports.
        method: how it was measured, in one sentence.
        measure: what the numbers are.
        unit: their unit.
        conditions: what distinguishes the rows.
        rows: the numbers.
    """

    name: str
    title: str
    method: str
    measure: str
    unit: Unit
    conditions: tuple[str, ...]
    rows: Sequence[ProbeRow]

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [
            {"conditions": list(row.conditions), "n_items": row.n_items, "estimate": row.estimate.as_json()}
            for row in self.rows
        ]
        return {
            "name": self.name,
            "title": self.title,
            "method": self.method,
            "measure": self.measure,
            "unit": self.unit,
            "conditions": list(self.conditions),
            "rows": rows,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        rows = [
            ProbeRow(tuple(row["conditions"]), row["n_items"], Estimate(**row["estimate"])) for row in value["rows"]
        ]
        return cls(**{**value, "conditions": tuple(value["conditions"]), "rows": rows})
