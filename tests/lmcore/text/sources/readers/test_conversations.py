"""Conversations in the usual formats give the same messages, and broken ones say what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmcore.config.readers import Conversations
from lmcore.text.documents.messages import Message, from_json
from tests.lmcore.text.sources.reader import read, rows_in

READER = Conversations(
    kind="conversations", columns=None, rows=None, format=None, delimiter=None, quoting="auto", encoding=None
)
TURNS = [Message("user", "Which city is this?"), Message("assistant", "It is Rome.")]


def openai(*turns: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


ROWS: dict[str, dict[str, Any]] = {
    "messages": {"messages": openai(*TURNS)},
    "parts": {"messages": openai(*((role, [{"type": "text", "text": content}]) for role, content in TURNS))},
    "sharegpt": {"conversations": [{"from": "human", "value": TURNS[0][1]}, {"from": "gpt", "value": TURNS[1][1]}]},
    "alpaca": {"instruction": TURNS[0][1], "input": "", "output": TURNS[1][1]},
    "pair": {"prompt": TURNS[0][1], "completion": TURNS[1][1]},
    "question": {"question": TURNS[0][1], "answer": TURNS[1][1]},
}


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("form", ROWS)
def test_every_usual_format_gives_the_same_messages_and_a_readable_text(tmp_path: Path, form: str, ending: str) -> None:
    ((document,), read_errors) = read(READER, rows_in(tmp_path / f"rows.{ending}", ROWS[form]))
    assert not read_errors
    assert document.messages is not None
    assert from_json(document.messages) == TURNS
    assert document.text == "User: Which city is this?\nAssistant: It is Rome."
    assert (document.target, document.rejected) == (None, None)


def test_rows_of_different_formats_may_be_mixed_and_a_table_has_pairs(tmp_path: Path) -> None:
    documents, read_errors = read(READER, rows_in(tmp_path / "rows.jsonl", *ROWS.values()))
    assert len({document.messages for document in documents}) == 1
    assert not read_errors
    table = tmp_path / "rows.csv"
    table.write_text("question,answer\nWhich city is this?,It is Rome.\n")
    ((document,), _) = read(READER, table)
    assert from_json(document.messages or "") == TURNS


def test_alpaca_input_follows_its_instruction_and_a_system_message_comes_first(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief."},
        {"messages": openai(("system", "Be brief."), ("user", "Add.\n\n1 2"), ("assistant", "3"))},
    ]
    (first, second), _ = read(READER, rows_in(tmp_path / "rows.jsonl", *rows))
    assert first.messages == second.messages
    assert first.text == "Be brief.\n\nUser: Add.\n\n1 2\nAssistant: 3"


def test_what_nobody_answers_is_left_out(tmp_path: Path) -> None:
    ((document,), _) = read(READER, rows_in(tmp_path / "a.jsonl", {"messages": openai(*TURNS, ("user", "Thanks"))}))
    assert from_json(document.messages or "") == TURNS


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": TURNS[0][1], "chosen": "It is Rome.", "rejected": "It is Oslo."},
        {"prompt": TURNS[0][1], "chosen": openai(TURNS[1]), "rejected": openai(("assistant", "It is Oslo."))},
        {"chosen": openai(*TURNS), "rejected": openai(TURNS[0], ("assistant", "It is Oslo."))},
        {"prompt": TURNS[0][1], "chosen": openai(*TURNS), "rejected": openai(TURNS[0], ("assistant", "It is Oslo."))},
    ],
)
def test_two_answers_that_are_compared_are_target_and_rejected(tmp_path: Path, row: dict[str, Any]) -> None:
    ((document,), read_errors) = read(READER, rows_in(tmp_path / "a.jsonl", row))
    assert not read_errors
    assert (document.text, document.target, document.rejected) == (TURNS[0][1], "It is Rome.", "It is Oslo.")
    assert from_json(document.messages or "") == TURNS


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"messages": []}, "empty_conversation", "empty"),
        ({"messages": "Hi"}, "not_a_conversation", "found str"),
        ({"messages": ["Hi"]}, "not_a_conversation", "message 1 is not an object"),
        ({"body": "Hi"}, "not_a_conversation", "there are 'body'"),
        ({"messages": openai(("narrator", "Once"), *TURNS)}, "unknown_role", "message 1 has the role 'narrator'"),
        ({"messages": openai(*TURNS, ("tool", "42"))}, "tool_call", "message 3"),
        ({"messages": [*openai(TURNS[0]), {"role": "assistant", "tool_calls": [{}]}]}, "tool_call", "message 2"),
        ({"messages": openai(("system", "a"), ("system", "b"), *TURNS)}, "misplaced_system_message", "message 2"),
        ({"messages": openai(TURNS[0])}, "no_answer", "nothing to learn"),
        ({"messages": openai(("user", " "), TURNS[1])}, "empty_message", "message 1"),
        ({"chosen": "a", "rejected": "b"}, "no_prompt", "'chosen'"),
        ({"prompt": "a", "chosen": "b"}, "no_answer", "'rejected'"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "equal_answers", "same answer"),
        (
            {"chosen": openai(*TURNS), "rejected": openai(("user", "?"), ("assistant", "x"))},
            "different_prompts",
            "the same prompt",
        ),
    ],
)
def test_a_broken_conversation_is_a_read_error_that_says_what_is_wrong(
    tmp_path: Path, row: dict[str, Any], reason: str, detail: str
) -> None:
    rows = rows_in(tmp_path / "a.jsonl", row, {"messages": openai(*TURNS)})
    documents, (read_error,) = read(READER, rows)
    assert len(documents) == 1
    assert (read_error.line, read_error.reason) == (1, reason)
    assert detail in read_error.detail
    assert json.loads(documents[0].messages or "")[1]["role"] == "assistant"
