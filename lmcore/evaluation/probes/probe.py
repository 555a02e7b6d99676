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
        n_items: how many texts or pairs it is based on.
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
        across: the condition whose values are the columns of a table; None: a table has one column of numbers.
    """

    name: str
    title: str
    method: str
    measure: str
    unit: Unit
    conditions: tuple[str, ...]
    rows: Sequence[ProbeRow]
    across: str | None = None

    @property
    def columns(self) -> list[str]:
        """What the numbers in each column of a table are."""
        if self.across is None:
            return [self.measure]
        return [f"{self.measure}, {value}" for value in dict.fromkeys(map(self._column_of, self.rows))]

    @property
    def downwards(self) -> list[str]:
        """The conditions that distinguish the rows of a table."""
        return [condition for condition in self.conditions if condition != self.across]

    @property
    def table(self) -> list[tuple[tuple[str, ...], int, list[Estimate]]]:
        """The rows of a table: their conditions, the number of items, and the numbers in the order of the columns."""
        found: dict[tuple[str, ...], list[ProbeRow]] = {}
        for row in self.rows:
            pairs = zip(self.conditions, row.conditions, strict=True)
            found.setdefault(tuple(value for name, value in pairs if name != self.across), []).append(row)
        return [(key, rows[0].n_items, [row.estimate for row in rows]) for key, rows in found.items()]

    def _column_of(self, row: ProbeRow) -> str:
        return row.conditions[self.conditions.index(self.across)] if self.across else self.measure

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
            "across": self.across,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        rows = [
            ProbeRow(tuple(row["conditions"]), row["n_items"], Estimate(**row["estimate"])) for row in value["rows"]
        ]
        return cls(**{**value, "conditions": tuple(value["conditions"]), "rows": rows})
