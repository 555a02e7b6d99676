"""Edits single keys in the text of a YAML file; its comments, order and layout stay as they are."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

KeyPath = tuple[str, ...]
Edit = tuple[int, int, str]
"""Start, end and replacement of a part of a text."""


def compose(text: str) -> Any:
    """The tree of a text's nodes, with their positions in it."""
    return YAML(typ="safe", pure=True).compose(text)


def find_key(node: Any, path: Sequence[str]) -> tuple[ScalarNode, Any] | None:
    """Key and value at a path below a node; None if there is none."""
    found = None
    for part in path:
        entries = node.value if isinstance(node, MappingNode) else []
        found = next(((key, value) for key, value in entries if key.value == part), None)
        if found is None:
            return None
        node = found[1]
    return found


def has_own_lines(text: str, paths: Sequence[KeyPath]) -> bool:
    """Whether each key has lines of its own, outside flow style (``{a: 1}``)."""
    root = compose(text)
    return all(_is_block(_value_at(root, path[:-1])) for path in paths)


def _value_at(root: Any, path: KeyPath) -> Any:
    found = find_key(root, path) if path else (None, root)
    return None if found is None else found[1]


def _is_block(node: Any) -> bool:
    return isinstance(node, MappingNode) and not node.flow_style


def end_of(key: ScalarNode, value: Any) -> int:
    """Where the value of a key ends, without the blank lines and comments after it."""
    while not isinstance(value, ScalarNode) and not value.flow_style and value.value:
        last = value.value[-1]
        key, value = last if isinstance(last, tuple) else (key, last)
    is_empty = value.start_mark.index == value.end_mark.index  # an empty value is found where the next key is
    return int(key.end_mark.index + 1 if is_empty else value.end_mark.index)


def lines_of(text: str, path: KeyPath) -> tuple[int, int]:
    """Start and end of the lines of a key, its value and the comment above it."""
    key, value = _existing(text, path)
    start = _line_start(text, key.start_mark.index)
    comment = re.compile(rf" {{{key.start_mark.column}}}#")
    while start and comment.match(text, above := _line_start(text, start - 1)):
        start = above
    end = text.find("\n", end_of(key, value))
    return start, len(text) if end < 0 else end + 1


def without_key(text: str, path: KeyPath) -> str:
    """The text without a key, its value and the comment above it."""
    if has_own_lines(text, [path]):
        start, end = lines_of(text, path)
        return text[:start] + text[end:]
    key, value = _existing(text, path)
    end = end_of(key, value)
    comma = re.compile(r"\s*,\s*").match(text, end)
    return text[: key.start_mark.index] + text[comma.end() if comma else end :]


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with some of its parts, which do not overlap, replaced."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _existing(text: str, path: KeyPath) -> tuple[ScalarNode, Any]:
    found = find_key(compose(text), path)
    if found is None:
        raise KeyError(".".join(path))
    return found


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1
