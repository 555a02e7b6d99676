"""A YAML file is changed at single keys: the values are those of the changed tree, every other line stays."""

import copy
import io
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows.runtime.yaml_text import (
    KeyPath,
    apply_edits,
    compose,
    end_of,
    find_key,
    has_own_lines,
    lines_of,
    without_key,
)
from tests.sample_project import PROJECT

FILES = [PROJECT / "params.yaml", PROJECT / "recipes" / "ptb-lstm.yaml"]
TEXT = """\
# the head
a: 1  # one
# about b
# in two lines
b:
  # about c
  c: [1, 2]
  d:

  # about e
  e: {f: 1, g: two, h: 3}
z: |
  a text
  # and no comment
"""


def read(text: str) -> Any:
    return YAML(typ="safe").load(io.StringIO(text))


def paths_of(values: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in values.items() if isinstance(values, dict) else ():
        yield (*path, key)
        yield from paths_of(value, (*path, key))


def without(values: Any, path: KeyPath) -> Any:
    """The values without a key; a section that has become empty reads as none."""
    changed = copy.deepcopy(values)
    section = changed
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]
    return changed


def emptied(values: Any) -> Any:
    """The values with none for every empty section."""
    return {key: emptied(value) for key, value in values.items()} or None if isinstance(values, dict) else values


@pytest.mark.parametrize("text", [TEXT, *(path.read_text() for path in FILES)], ids=["text", *(f.stem for f in FILES)])
def test_a_key_is_removed_with_its_value_and_its_comment_and_nothing_else(text: str) -> None:
    values = read(text)
    for path in list(paths_of(values))[:20]:
        changed = without_key(text, path)
        assert emptied(read(changed)) == emptied(without(values, path)), path
        if has_own_lines(text, [path]):
            lines = iter(text.splitlines())
            assert all(line in lines for line in changed.splitlines()), "the lines that are left stay as they were"


def test_the_lines_of_a_key_are_those_of_its_value_and_of_the_comment_above_it() -> None:
    def lines(*path: str) -> str:
        start, end = lines_of(TEXT, path)
        return TEXT[start:end]

    assert lines("b", "c") == "  # about c\n  c: [1, 2]\n"
    assert lines("b", "d") == "  d:\n"
    assert lines("b", "e") == "  # about e\n  e: {f: 1, g: two, h: 3}\n"
    assert lines("b").startswith("# about b\n# in two lines\nb:\n")
    assert lines("b").endswith("h: 3}\n")
    assert lines("a") == "# the head\na: 1  # one\n"


def test_the_end_of_a_value_is_where_a_line_can_be_added_below_it() -> None:
    for path, last in ((("a",), "a: 1"), (("b", "d"), "d:"), (("b",), "h: 3}"), (("b", "c"), "[1, 2]")):
        found = find_key(compose(TEXT), path)
        assert found is not None
        assert TEXT[: end_of(*found)].endswith(last)


def test_only_keys_of_a_block_have_lines_of_their_own() -> None:
    assert has_own_lines(TEXT, [("b", "c"), ("b", "d"), ("b", "e")])
    assert not has_own_lines(TEXT, [("b", "c"), ("b", "e", "g")])
    assert not has_own_lines(TEXT, [("nothing", "here")])


@pytest.mark.parametrize("path", [("nothing",), ("b", "nothing"), ("b", "c", "d")])
def test_a_path_that_leads_nowhere_has_no_key(path: KeyPath) -> None:
    assert find_key(compose(TEXT), path) is None
    with pytest.raises(KeyError, match=r"\.".join(path)):
        without_key(TEXT, path)


def test_edits_are_of_the_text_as_it_was_in_any_order() -> None:
    edits = [(0, 1, "long"), (4, 6, ""), (2, 2, "+")]
    assert apply_edits("abcdefg", edits) == apply_edits("abcdefg", edits[::-1]) == "longb+cdg"


def test_a_key_at_the_end_of_a_file_without_a_line_end_is_removed() -> None:
    assert without_key("a: 1\nb: 2", ("b",)) == "a: 1\n"


def test_a_key_at_the_top_goes_with_its_lines_and_the_comment_above_it() -> None:
    assert has_own_lines(TEXT, [("a",), ("b",), ("z",)])
    assert without_key(TEXT, ("b",)).startswith("# the head\na: 1  # one\nz: |\n")
    assert not has_own_lines(TEXT, [("b", "e", "f")])
    with pytest.raises(KeyError):
        without_key(TEXT, ("a", "below a scalar"))
