"""What a row says about entities, as the answer that a model learns to write: JSON, or a line per entity."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmcore.config.readers import EntitySpans, EntityTags
from lmcore.text.documents.document import InputError
from lmcore.text.sources.rows.nested_rows import Row, listed
from lmcore.text.sources.rows.token_lists import joined_tokens

Entity = tuple[str, str]
"""The type of an entity, and its text."""
TAG = re.compile(r"(?:(?P<prefix>[BIESLU])-)?(?P<type>.+)")
BEGINS, ENDS = frozenset("BSU"), frozenset("ESLU")
OUTSIDE = frozenset({"O", "", "_"})


def entity_target(row: Row, text: str, target: EntityTags | EntitySpans) -> str:
    """The entities of a row in the order of the text: ``{"PER": ["Ada"], "LOC": ["London"]}``, or lines ``PER: Ada``.

    Args:
        row: the row.
        text: the text of its document, in which the spans are positions.
        target: where the entities are, and how they are written.

    Raises:
        InputError: ``missing_field`` or ``wrong_type``.
    """
    found = list(_tagged(row, target) if isinstance(target, EntityTags) else _spanned(row, text, target))
    if target.write_as == "lines":
        return "\n".join(f"{kind}: {name}" for kind, name in found)
    by_type: dict[str, list[str]] = {}
    for kind, name in found:
        by_type.setdefault(kind, []).append(name)
    return json.dumps(by_type, ensure_ascii=False)


def _tagged(row: Row, target: EntityTags) -> Iterator[Entity]:
    """The entities in a list of tags (IOB, IOBES, BILOU, or types alone) beside a list of tokens."""
    tokens, tags = _strings(row, target.tokens), _strings(row, target.tags)
    if len(tokens) != len(tags):
        raise InputError("wrong_type", f"there are {len(tokens)} {target.tokens} but {len(tags)} {target.tags}")
    kind, words = "", list[str]()
    for token, tag in zip([*tokens, ""], [*tags, "O"], strict=True):
        found = None if tag in OUTSIDE else TAG.fullmatch(tag)
        prefix, own = ("O", "") if found is None else (found["prefix"] or "I", found["type"])
        if words and (own != kind or prefix in BEGINS):
            yield kind, joined_tokens(words)
            words = []
        if own:
            kind, words = own, [*words, token]
            if prefix in ENDS:
                yield kind, joined_tokens(words)
                words = []


def _spanned(row: Row, text: str, target: EntitySpans) -> Iterator[Entity]:
    """The entities in a list of objects with positions in the text, in the order of the positions."""
    spans = []
    for item in _items(row, target.entities):
        if not isinstance(item, Mapping):
            raise InputError("wrong_type", f"{target.entities} holds a {type(item).__name__}, expected objects")
        start, end, kind = (item.get(name) for name in (target.start, target.end, target.label))
        if not isinstance(start, int) or not isinstance(end, int) or not isinstance(kind, str):
            names = ", ".join((target.start, target.end, target.label))
            raise InputError("wrong_type", f"{target.entities} lacks {names}, expected two positions and a string")
        if not 0 <= start < end <= len(text):
            raise InputError("wrong_type", f"a span from {start} to {end} is not within {len(text)} characters")
        spans.append((start, end, kind))
    return ((kind, text[start:end]) for start, end, kind in sorted(spans))


def _strings(row: Row, name: str) -> Sequence[str]:
    values = _items(row, name)
    if not all(isinstance(value, str) for value in values):
        raise InputError("wrong_type", f"{name} is not a list of strings")
    return values


def _items(row: Row, name: str) -> Sequence[Any]:
    if name not in row:
        raise InputError("missing_field", f"there is no field {name!r}; there are {listed(row)}")
    value = row[name]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError("wrong_type", f"{name} is not a list")
    return value
