"""Converts the values of a row to texts (also from token lists and conversations), labels and names."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from typing import Any

from lmcore.text.documents.document import InputError, is_unicode
from lmcore.text.sources.rows.conversations import rendered, turns_of
from lmcore.text.sources.rows.token_lists import joined_tokens

WHOLE_NUMBER = re.compile(r"(?:\+|(-))?(0|[1-9][0-9]*)(?:\.0*)?")
NO_NUMBERS = frozenset({"nan", "NaN", "NAN", "-nan", "inf", "-inf", "Infinity", "-Infinity"})
LONGEST_LABEL = 500


def as_text(value: Any, name: str) -> str:
    """A string unchanged, a list of tokens joined, or the turns of a conversation as lines.

    Raises:
        InputError: ``wrong_type``, or ``not_unicode`` for bytes that are not UTF-8.
    """
    text = value if isinstance(value, str) else _text_of(value)
    if text is None:
        raise InputError("wrong_type", f"field {name!r} holds {_kind(value)}, not a string")
    return text


def as_part(value: Any, name: str) -> str:
    """As :func:`as_text`, and numbers, booleans and dates in the notation of JSON.

    Raises:
        InputError: as :func:`as_text`.
    """
    if isinstance(value, str):
        return value
    text = _text_of(value)
    return _scalar(value, name) if text is None else text


def as_label(value: Any, name: str) -> str | None:
    """A label: stripped, with whole numbers in their shortest form; None if it is null or empty.

    1, 1.0, "1.0" and " 1" are the same label; "01" and "1.50" are different ones, and so are true and "True".

    Raises:
        InputError: ``wrong_type``; ``not_a_number`` for NaN and infinity; ``too_long``, or
            ``not_unicode`` for a lone surrogate.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _label(value if isinstance(value, str) else _scalar(value, name), name)


def as_name(value: Any, name: str) -> str | None:
    """A string, or a number, boolean or date in the notation of JSON; None if it is null or empty.

    Raises:
        InputError: ``wrong_type``, or ``not_unicode`` for a lone surrogate.
    """
    word = None if value is None else _scalar(value, name)
    if word and not is_unicode(word):
        raise InputError("not_unicode", f"{word!a} holds a lone surrogate")
    return word or None


@lru_cache(maxsize=1_000)
def _label(value: str, name: str) -> str | None:
    label = value.strip()
    if label in NO_NUMBERS:
        raise InputError("not_a_number", f"field {name!r} holds {label}: leave unknown labels empty")
    if len(label) > LONGEST_LABEL:
        detail = f"field {name!r} holds {len(label):,} characters: a label has at most {LONGEST_LABEL}"
        raise InputError("too_long", detail)
    if (number := WHOLE_NUMBER.fullmatch(label)) is not None:
        label = "0" if number[2] == "0" else f"{number[1] or ''}{number[2]}"
    return as_name(label, name)


def _text_of(value: Any) -> str | None:
    """The text of bytes, of a token list or of a conversation; None for other values."""
    if isinstance(value, bytes):
        return _decoded(value)
    if not isinstance(value, Sequence) or not value:
        return None
    if all(isinstance(item, str) for item in value):
        return joined_tokens(value)
    turns = turns_of(value)
    return None if turns is None else rendered(turns)


def _scalar(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _decoded(value)
    raise InputError("wrong_type", f"field {name!r} holds {_kind(value)}, which is neither a string nor a number")


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError("not_unicode", f"byte {error.start + 1} is not UTF-8: {error.reason}") from None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping) and value:
        return f"an object with the fields {', '.join(f'{name!a:.40}' for name in list(value)[:5])}"
    if isinstance(value, list):
        return "a list whose items are neither strings nor chat turns" if value else "an empty list"
    return f"a value of type {type(value).__name__}"
