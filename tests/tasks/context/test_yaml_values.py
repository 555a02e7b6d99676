"""A YAML file is read as DVC reads it, or refused at once in one message that says where and why."""

import datetime
import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.errors import UserError
from tasks.context.yaml_values import MAX_INTEGER, SHOWN_CHARACTERS, read_yaml, shown

NINE = "[{}]".format(", ".join(["{}"] * 9))
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} {NINE.replace('{}', f'*a{level - 1}')}\n" for level in range(1, 10)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{level}: &a{level} {{<<: {NINE.replace('{}', f'*a{level - 1}')}}}\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("label: é".encode("latin-1"), "is not UTF-8 text: byte 0xe9 at position 7; save it as UTF-8"),
        ("collect: 1".encode("utf-16"), "is not UTF-8 text"),
        (bytes(range(256)), "is not UTF-8 text"),
        (b"x" * 2_000_000, "has 2,000,000 bytes"),
        (b"[" * 20_000, "has more than 50 levels (line 1)"),
        ("\n".join(" " * depth + "a:" for depth in range(500)).encode(), "has more than 50 levels (line 51)"),
        (BOMB.encode(), "has more than 100,000 values, with references expanded"),
        (MERGE_BOMB.encode(), "has more than 100,000 values, with references expanded"),
        (b"[" + b"1," * 200_000 + b"1]", "has more than 100,000 values"),
        (b"a: &a [*a]", "contains a value that contains itself: *a (line 1)"),
        (b"a: &a\n  b: {c: *a}", "contains a value that contains itself: *a (line 2)"),
        (b"a: *b", "line 1, column 4: found undefined alias"),
        (b"a: 2020-01-01", "a = 2020-01-01: YAML reads this as a date; write it in quotes"),
        (b"a: 2020-13-45", "contains an invalid number or date"),
        (b"? [a, b]\n: 1", "the file: the key ('a', 'b') is not a string"),
        (b"a: {5: 1, true: 2}", "a: the key 5 is not a string"),
        (b"a: " + b"9" * 30, "a = 999999999999999999999999999999: expected an integer of at most 9223372036854775807"),
        (b"a: " + b"9" * 5000, "contains an invalid number or date"),
        (b"a: [x, -" + b"9" * 19 + b"]", "a.1 = -9999999999999999999: expected an integer"),
        (b"a: !!binary aGVsbG8=", "a = b'hello': has type bytes"),
        (b"a: !!set {x}", "has type set"),
        (b"a: !!python/object:os.system x", "could not determine a constructor"),
        (b"a: 1\na: 2", 'line 2, column 1: found duplicate key "a"'),
        (b"a:\n\tb: 1", "indent with spaces instead of tabs"),
        (b"a: 1\n---\na: 2", "found another document"),
        (b'a: "x\\0y"', "contains a NUL character"),
        (b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> b\n", "contains merge conflict markers"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_message_at_once(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_bytes(content)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        read_yaml(tmp_path / "values.yaml")
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("text", ["3e-4", "1e5", "off", "yes", "0o17", "017", "12:30", "~", "1_000", ".inf", "'1'"])
def test_values_are_read_as_dvc_reads_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(f"a: {text}\n")
    (found,), (expected,) = read_yaml(path).values(), load_yaml(path).values()
    assert (type(found), found) == (type(expected), expected)


PLAIN_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN_TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(PLAIN_TEXT, values, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(values=VALUES)
def test_json_values_are_read_as_they_are(values: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    assert read_yaml(path) == values


def test_references_and_merged_sections_are_expanded(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("a: &a {x: 1, y: [2]}\nb: *a\nc: {<<: *a, x: 3}\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": [2]}, "b": {"x": 1, "y": [2]}, "c": {"x": 3, "y": [2]}}


def test_every_wrong_value_is_named_in_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(f"a: 2020-01-01\nb: [1, {{c: {2**70}}}]\n5: x\n")
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    first, *lines = str(caught.value).splitlines()
    assert first == "has invalid values:"
    assert [line.split()[0] for line in lines] == ["a", "b.1.c", "the"]


def test_a_missing_file_is_left_to_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "values.yaml")


def test_a_long_value_is_truncated_in_a_message() -> None:
    assert shown("a") == "'a'"
    assert shown(datetime.date(2020, 1, 2)) == "2020-01-02"
    assert shown(math.inf) == "inf"
    assert shown("x" * 1000) == f"'{'x' * (SHOWN_CHARACTERS - 1)}…"
