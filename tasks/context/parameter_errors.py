"""What is wrong with the values of ``params.yaml``: a line for each error, with path, value and remedy."""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lmcore.config.base import Config
from lmcore.config.training import TrainingConfig
from tasks.context.preset_section import MODEL, PRESETS, describe_unknown, is_unknown, preset_location
from tasks.context.trainer_section import (
    KIND_KEYS,
    TRAINER,
    Location,
    has_part,
    shared_training,
    training_of,
    value_at,
    written_at,
)
from tasks.context.yaml_values import SHOWN_CHARACTERS

ConfigT = TypeVar("ConfigT", bound=Config)

MISSING = object()
SOME_TRAINING = ("pretrain", "training")


def validated(kind: type[ConfigT], values: dict[str, Any]) -> tuple[ConfigT | None, list[ErrorDetails]]:
    """The settings, or None and what is wrong with them."""
    try:
        # JSON mode is strict about types but reads lists as tuples and strings as paths.
        return kind.model_validate_json(json.dumps(values)), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def error_lines(
    root: type[Config], errors: Sequence[ErrorDetails], merged: dict[str, Any], written: dict[str, Any]
) -> list[str]:
    """A line for each error.

    Args:
        root: the class of all sections.
        errors: the errors in ``merged``.
        merged: the sections with presets and ``trainer`` merged into them.
        written: the sections as they are written.
    """
    own = [details for details in errors if not _only_follows(details, errors, written)]
    found = [_describe(root, details, merged, written) for details in own]
    # An error in `trainer` is an error of every training.
    return list(dict.fromkeys([*found, *_unused_errors(root, written)]))


def _unused_errors(root: type[Config], written: dict[str, Any]) -> Iterator[str]:
    """The errors in settings of ``trainer`` that have no effect, because every training sets them itself."""
    values = shared_training(written)
    if values is None:
        return
    for details in validated(TrainingConfig, values)[1]:
        location = _without_branches(details["loc"], values)
        is_written = value_at(written, (TRAINER, *location), MISSING) is not MISSING
        if is_written and details["type"] not in ("missing", "union_tag_not_found"):
            prefixed = details.copy()
            prefixed["loc"] = (*SOME_TRAINING, *details["loc"])
            yield _describe(root, prefixed, {"pretrain": {"training": values}}, {TRAINER: written[TRAINER]})


def _only_follows(details: ErrorDetails, errors: Sequence[ErrorDetails], written: dict[str, Any]) -> bool:
    """Whether an error goes away with another: a list is too short because of its entries, ``trainer`` is missing."""
    location = details["loc"]
    if details["type"] == "missing" and location[0] == "pretrain" and is_unknown(written):
        return True
    if details["type"] in ("missing", "union_tag_not_found") and not isinstance(written.get(TRAINER), dict):
        return training_of(location) is not None
    return details["type"] == "too_short" and any(
        other["loc"][: len(location)] == location for other in errors if other is not details
    )


def _describe(root: type[Config], details: ErrorDetails, merged: dict[str, Any], written: dict[str, Any]) -> str:
    """One line for an error in the merged values, with the path where the value is written."""
    message = details["msg"].removeprefix("Value error, ")
    location = _without_branches(details["loc"], merged)
    if not location:
        return message
    if location == (TRAINER,):
        return f"{TRAINER}: expected a section with the settings that all trainings share"
    if location == MODEL and is_unknown(written):
        return f"{_path(location)} = {_shown(details['input'])}: {describe_unknown(written)}"
    path = _path(_place(location, written))
    match details["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key{_suggest(root, location, merged)}"
        case "missing":
            return f"{path}: missing; add it (there are no hidden defaults)"
        case "union_tag_invalid" | "union_tag_not_found":
            return _describe_kind(location, details, written)
    value = "" if isinstance(details["input"], dict) else f" = {_shown(details['input'])}"
    return f"{path}{value}: {message[0].lower()}{message[1:]}"


def _place(location: Location, written: dict[str, Any]) -> Location:
    """Where the value at ``location`` of the merged sections is written, or where a missing one should be."""
    place = preset_location(location, written)
    return place if place != location else written_at(location, written)


def _describe_kind(location: Location, details: ErrorDetails, written: dict[str, Any]) -> str:
    """A section of an unknown kind (``family``, ``kind``, ``name``): the known kinds instead of the whole section."""
    context = details.get("ctx", {})
    key = str(context["discriminator"]).strip("'")
    path = _path(_place((*location, key), written))
    if details["type"] == "union_tag_not_found":
        return f"{path}: missing; it sets the kind of this section"
    known = str(context["expected_tags"]).replace("'", "")
    nearest = difflib.get_close_matches(str(context["tag"]), known.split(", "), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{path} = {_shown(context['tag'])}: expected one of {known}{hint}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _path(location: Location) -> str:
    return ".".join(map(str, location))


def _without_branches(location: Location, values: Any) -> Location:
    """The path of an error in ``values``: pydantic also names the branch of a union, which is not a key."""
    path: list[int | str] = []
    branch = None
    for index, part in enumerate(location):
        if part == branch:
            branch = None  # a section may have a key of the same name
        elif has_part(values, part):
            values = values[part]
            path.append(part)
            kinds = [values[key] for key in KIND_KEYS & values.keys()] if isinstance(values, dict) else []
            branch = kinds[0] if kinds else None
        elif index == len(location) - 1:
            path.append(part)
    return tuple(path)


def _suggest(root: type[Config], location: Location, values: Any) -> str:
    """The known key most similar to the unknown one at ``location``, or all known keys of its section."""
    known = [*root.model_fields, TRAINER, PRESETS]
    if len(location) > 1:
        section = _section_type(root, location[:-1], values)
        known = list(section.model_fields) if section else []
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; known keys here: {', '.join(known)}" if known else "; remove it"


def _section_type(root: type[Config], location: Location, values: Any) -> type[Config] | None:
    """The class of the section at ``location``; in a union, the section's kind selects the branch."""
    section: type[Config] | None = root
    for part in location:
        values = values[part]
        if isinstance(part, int):
            continue  # the entries of a list are sections of one type
        field = section.model_fields.get(part) if section else None
        section = next(_fitting(field.annotation, values), None) if field else None
    return section


def _fitting(annotation: Any, values: Any) -> Iterator[type[Config]]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Config):
        kinds = {name: annotation.model_fields[name].annotation for name in KIND_KEYS & annotation.model_fields.keys()}
        if not isinstance(values, dict) or all(
            get_origin(kind) is not Literal or values.get(name) in get_args(kind) for name, kind in kinds.items()
        ):
            yield annotation
        return
    for argument in get_args(annotation):
        yield from _fitting(argument, values)
