import pytest

from lmcore.evaluation.names import short_number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (950, "950"),
        (999.6, "1 k"),
        (1_234, "1.23 k"),
        (312_000, "312 k"),
        (6_553_865, "6.55 M"),
        (999_600_000, "1 B"),
        (1_240_000_000, "1.24 B"),
    ],
)
def test_numbers_have_up_to_three_significant_digits_and_a_unit(value: float, shown: str) -> None:
    assert short_number(value) == shown
