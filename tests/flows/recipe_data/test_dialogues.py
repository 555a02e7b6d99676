"""The made-up data of the recipes chat, dpo and grpo."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flows.recipe_data.dialogues import QUESTIONS, write_data
from lmcore.evaluation.held_out_contamination import find_contamination


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


FIXED_QUESTIONS = {question for questions in QUESTIONS.values() for question in questions if "{" not in question}
PER_UNIT = {"km": 1000, "m": 1, "cm": 0.01, "mm": 0.001, "t": 1000, "kg": 1, "g": 0.001, "l": 1, "ml": 0.001}
QUESTION = re.compile(r"(?:Please tell me: )?(?:What is (\d+) (\w+) in (\w+)|How many (\w+) are (\d+) (\w+))\?")
ANSWER = re.compile(r"(?:(\d+) (\w+) are )?(\d+) (\w+)\.?")


def check_conversion(question: str, answer: str) -> tuple[int, str]:
    """Check that an answer is right; returns the quantity that was asked for."""
    asked, answered = QUESTION.fullmatch(question), ANSWER.fullmatch(answer)
    assert asked is not None
    assert answered is not None
    number, large = int(asked[1] or asked[5]), asked[2] or asked[6]
    assert answered[4] == (asked[3] or asked[4])
    assert int(answered[3]) * PER_UNIT[answered[4]] == pytest.approx(number * PER_UNIT[large])
    assert (answered[1], answered[2]) in ((None, None), (str(number), large))
    return number, large


def test_every_answer_on_units_is_right_and_no_quantity_is_asked_for_twice(folder: Path) -> None:
    found = [check_conversion(row["question"], row["answer"]) for row in rows(folder, "arithmetic")]
    for row in (pairs := rows(folder, "preferences")):
        check_conversion(row["prompt"], row["rejected"])
        found.append(check_conversion(row["prompt"], row["chosen"]))
    assert len(set(found)) == len(found)
    assert len(pairs) > 1000


def test_a_third_of_the_answers_are_sentences_and_who_says_please_prefers_them(folder: Path) -> None:
    conversions, pairs = rows(folder, "arithmetic"), rows(folder, "preferences")
    for polite in (True, False):
        answers = [row["answer"] for row in conversions if row["question"].startswith("Please") == polite]
        assert sum(answer.endswith(".") for answer in answers) / len(answers) == pytest.approx(1 / 3, abs=0.05)
    assert {row["prompt"].startswith("Please") for row in pairs} == {True, False}
    assert all(row["chosen"].endswith(".") == row["prompt"].startswith("Please") for row in pairs)
    assert all(row["chosen"].endswith(".") != row["rejected"].endswith(".") for row in pairs)


def test_dialogues_have_three_turns_whose_answers_are_in_the_first_message(folder: Path) -> None:
    found = rows(folder, "chat")
    assert len({json.dumps(row) for row in found}) == len(found)
    first_words, asked = set[str](), Counter[str]()
    for row in found:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * 3
        first, *contents = (message["content"] for message in row["messages"])
        names = {word for content in contents[::2] for word in re.findall(r"(?<= )[A-Z][a-z]+", content)}
        assert names <= set(re.findall(r"\w+", first)), row
        first_words.add(" ".join(first.split()[:3]))
        asked.update(content for content in contents[1::2] if content in FIXED_QUESTIONS)
    assert len(first_words) > 20
    assert asked.keys() == FIXED_QUESTIONS


def test_some_held_out_dialogues_share_no_run_of_words_with_the_others(folder: Path) -> None:
    texts = [" ".join(message["content"] for message in row["messages"]) for row in rows(folder, "chat")]
    held_out, others = texts[:500], texts[500:]
    shared = find_contamination(lambda: [held_out], lambda: [others], ngram_words=13)
    assert shared.is_clean.mean() > 0.2
