"""Whether an answer ends in the expected quantity: a number, with or without a unit."""

import re
from fractions import Fraction

# A dimension and the size of the unit in it; units that are not listed are only equal to themselves.
UNITS: dict[str, tuple[str, Fraction]] = {
    **{name: ("length", size) for name, size in (("mm", Fraction(1, 1000)), ("cm", Fraction(1, 100)))},
    **{name: ("length", Fraction(size)) for name, size in (("m", 1), ("km", 1000))},
    **{name: ("mass", Fraction(size)) for name, size in (("g", 1), ("kg", 1000), ("t", 1_000_000))},
    **{name: ("time", Fraction(size)) for name, size in (("s", 1), ("min", 60), ("h", 3600))},
    **{name: ("volume", size) for name, size in (("ml", Fraction(1, 1000)), ("l", Fraction(1)))},
}
QUANTITY = re.compile(r"(?<![\w.])([-+\u2212]?\d[\d,]*(?:\.\d+)?)(?:[ \u00a0]?([^\W\d_]+|%))?")


def equal_quantity(answer: str, expected: str) -> float:
    """1 if the last quantity in the answer equals the last one in the expected answer, else 0.

    Numbers are compared exactly; ``1.5 km`` equals ``1500 m``. A number without a unit never equals one with a unit.
    """
    own, other = _last_quantity(answer), _last_quantity(expected)
    return float(own is not None and own == other)


def _last_quantity(text: str) -> tuple[str, Fraction] | None:
    """The dimension (or the unit, if it is unknown) and the size of the last quantity in a text."""
    quantities = list(QUANTITY.finditer(text))
    if not quantities:
        return None
    found = quantities[-1]
    number = Fraction(found[1].replace(",", "").replace("\u2212", "-"))
    dimension, size = UNITS.get(found[2] or "", (found[2] or "", Fraction(1)))
    return dimension, number * size
