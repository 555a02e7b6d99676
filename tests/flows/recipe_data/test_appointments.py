"""The made-up data of the recipe summaries."""

import json
import re
from pathlib import Path

import pytest

from flows.recipe_data.appointments import CHOICES, FILE, write_data

SUMMARY = re.compile(r"(\w+) and (\w+) meet on (\w+) at (\w+) in the (\w+)\. (\w+) brings the (\w+)\.")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("appointments")
    assert write_data(folder)
    assert not write_data(folder)
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_equal_bytes_are_made_again(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert write_data(folder)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()


def test_everything_in_a_summary_is_said_by_one_of_the_two(rows: list[dict[str, str]]) -> None:
    for row in rows:
        found = SUMMARY.fullmatch(row["summary"])
        assert found is not None
        first, second, *said, bringer, thing = found.groups()
        speakers = {line.partition(":")[0] for line in row["conversation"].splitlines()}
        assert speakers == {first, second}
        assert bringer in speakers
        assert all(re.search(rf"\b{word}\b", row["conversation"]) for word in (*said, thing))


def test_neither_the_first_nor_the_last_day_that_is_mentioned_is_enough(rows: list[dict[str, str]]) -> None:
    first = last = 0
    for row in rows:
        days = re.findall("|".join(CHOICES["day"]), row["conversation"])
        agreed = re.findall("|".join(CHOICES["day"]), row["summary"])
        first, last = first + (days[0] == agreed[0]), last + (days[-1] == agreed[0])
    assert first < 0.85 * len(rows)
    assert last < 0.6 * len(rows)


def test_hardly_any_conversation_occurs_twice(rows: list[dict[str, str]]) -> None:
    assert len({row["conversation"] for row in rows}) > 0.999 * len(rows)
