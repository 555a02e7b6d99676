"""The made-up data of the recipes chat, dpo and grpo."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.recipe_data.dialogues import write_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dialogues")
    assert write_data(folder)
    return folder


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_it_is_made_once_and_equal_bytes_are_made_again(folder: Path, tmp_path: Path) -> None:
    assert not write_data(folder)
    assert write_data(tmp_path)
    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_no_question_on_units_occurs_twice_and_every_answer_is_right(folder: Path) -> None:
    per_unit = {"km": 1000, "m": 1, "cm": 0.01, "mm": 0.001, "t": 1000, "kg": 1, "g": 0.001, "l": 1, "ml": 0.001}
    found = rows(folder, "arithmetic")
    assert len({row["question"] for row in found}) == len(found)
    for row in found:
        _, _, number, large, _, small = row["question"].rstrip("?").split()
        answer, unit = row["answer"].split()
        assert unit == small
        assert int(answer) * per_unit[small] == pytest.approx(int(number) * per_unit[large])


def test_dialogues_have_three_turns_and_none_occurs_twice(folder: Path) -> None:
    found = rows(folder, "chat")
    assert all([message["role"] for message in row["messages"]] == ["user", "assistant"] * 3 for row in found)
    assert len({json.dumps(row) for row in found}) == len(found)


def test_the_rejected_summary_is_another_one(folder: Path) -> None:
    found = rows(folder, "preferences")
    assert found
    assert all(row["chosen"] != row["rejected"] for row in found)
