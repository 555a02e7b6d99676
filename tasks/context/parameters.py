"""``params.yaml`` as one checked value; all its errors are reported at once, each with path, value and remedy."""

import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from lmcore.config.base import LANGUAGE_MODEL, SCRATCH, Config
from lmcore.config.clean import CleanConfig
from lmcore.config.collect import CollectConfig
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import TokenizeConfig
from lmcore.config.training import PretrainConfig
from lmcore.errors import UserError
from tasks.context.preset_section import MODEL, PRESETS, describe_unknown, is_unknown, preset_location, with_preset
from tasks.context.trainer_section import KIND_KEYS, TRAINER, Location, has_part, training_of, with_trainer, written_at
from tasks.context.yaml_values import SHOWN_CHARACTERS, read_yaml, shown

COMPLETION_PROMPTS = Path("prompts/completion")
"""The folder of prompt templates on which the stage finetune depends."""
VERSION = 2
"""The format of ``params.yaml``; ``flows/upgrade.py`` converts older files."""


class Parameters(Config):
    """The sections of ``params.yaml``, one per stage. Every training has the keys of ``trainer`` as well as its own,
    and pretraining those of the preset that it names."""

    collect: CollectConfig
    clean: CleanConfig
    tokenize: TokenizeConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig

    @model_validator(mode="after")
    def _family_takes_adapters(self) -> Self:
        if self.pretrain.model is None:
            return self
        family = self.pretrain.model.family
        adapted = [
            f"finetune.{name}.lora"
            for name, section in self.finetune.sections.items()
            if getattr(section, "lora", None) and self._starts_from_language_model(name)
        ]
        if adapted and not self.pretrain.model.takes_adapters:
            raise ValueError(
                f"{' and '.join(adapted)}: a model of family {family} has no linear layers for adapters; set it to null"
            )
        return self

    @model_validator(mode="after")
    def _prompts_are_dependencies(self) -> Self:
        completion = self.finetune.completion
        if completion is not None and completion.prompt.parent != COMPLETION_PROMPTS:
            raise ValueError(
                f"finetune.completion.prompt is {completion.prompt}: put the file into {COMPLETION_PROMPTS}/, which "
                "the stage depends on"
            )
        return self

    @model_validator(mode="after")
    def _sequences_fit_the_context(self) -> Self:
        context = max_position_embeddings_of(self.pretrain.model) if self.pretrain.model else None
        if self.pretrain.model is None or context is None:
            return self
        sizes = {
            "pretrain.sequence_length": self.pretrain.sequence_length,
            "evaluate.likelihood.window_stride_tokens": self.evaluate.likelihood.window_stride_tokens,
            "evaluate.samples.generation.max_new_tokens": self.evaluate.samples.generation.max_new_tokens + 1,
        }
        completion = self.finetune.completion
        if completion and self._starts_from_language_model("completion"):
            answer = max(completion.max_completion_tokens, self.evaluate.completion.generation.max_new_tokens)
            if self.pretrain.model.reads_source:
                sizes["finetune.completion.max_prompt_tokens"] = completion.max_prompt_tokens + 1
                sizes["the completion with its end token"] = answer + 1
            else:
                both = completion.max_prompt_tokens + answer
                sizes["finetune.completion.max_prompt_tokens with the completion"] = both
        too_large = [f"{name} needs {size}" for name, size in sizes.items() if size > context]
        if too_large:
            raise ValueError(
                f"pretrain.model.max_position_embeddings is {context}, but {' and '.join(too_large)} tokens"
            )
        return self

    def _starts_from_language_model(self, name: str) -> bool:
        """Whether a fine-tuned model is the language model trained further, or has its shape."""
        init_from = self.finetune.sections[name].init_from
        if init_from in self.finetune.sections:
            return self._starts_from_language_model(init_from)
        return init_from in (SCRATCH, LANGUAGE_MODEL)


def load_parameters(
    path: Path,
    *,
    consequence: str = "nothing was started",
    shown_as: Path | None = None,
    preset: str | None = None,
) -> Parameters:
    """Read and check a whole parameter file.

    Args:
        path: the file.
        consequence: what the message says did not happen because of an error.
        shown_as: the path that messages name, if ``path`` is to be renamed to it.
        preset: the preset of pretraining to use instead of what the file names.

    Raises:
        UserError: with one line per error (path in the file, value, remedy), all of them at once; or if the file has
            another version.
        FileNotFoundError: if there is no such file.
    """
    name = shown_as or path
    values = _read(path, name, consequence)
    _check_version(values, name, consequence)
    sections = {name: section for name, section in values.items() if name != "version"}
    if preset is not None and isinstance(sections.get("pretrain"), dict):
        sections["pretrain"] = sections["pretrain"] | {"model": preset}
    merged = with_trainer(with_preset(sections))
    try:
        # JSON mode is strict about types but reads lists as tuples and strings as paths.
        return Parameters.model_validate_json(json.dumps(merged))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        own = [details for details in errors if not _only_follows(details, errors, sections)]
        # An error in `trainer` is an error of every training.
        lines = list(dict.fromkeys(_describe(details, merged, sections) for details in own))
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise UserError("\n  ".join([f"{name} has {count}; {consequence}:", *lines])) from None


def _check_version(values: dict[str, Any], path: Path, consequence: str) -> None:
    """Refuse the values of a file in another format than this release reads.

    Raises:
        UserError: with the command that converts an older file.
    """
    if "version" not in values and "trainer" in values:
        raise UserError(
            f"{path} has no version, but its sections are those of format {VERSION}; {consequence}. "
            f"Add `version: {VERSION}`"
        )
    version = values.get("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise UserError(f"{path}: version = {shown(version)}: expected {VERSION}; {consequence}")
    if version < VERSION:
        raise UserError(
            f"{path} is in format {version}, but this release reads format {VERSION}; {consequence}. "
            f"Convert it with `python -m flows.upgrade {path}`"
        )
    if version > VERSION:
        raise UserError(
            f"{path} is in format {version}, but this release reads format {VERSION} at most; {consequence}. "
            f"Use the release that wrote it, or restore the file with git"
        )


def _read(path: Path, name: Path, consequence: str) -> dict[str, Any]:
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} is missing: run from the project's root, or restore it with git") from None
    except UserError as error:
        problem, *lines = str(error).split("\n")
        end = ":" if lines else ""
        raise UserError("\n".join([f"{name} {problem.removesuffix(':')}; {consequence}{end}", *lines])) from None
    if values is None:
        raise UserError(f"{name} is empty; {consequence}: restore it with `git checkout {name}`")
    if not isinstance(values, dict):
        sections = ", ".join([*Parameters.model_fields, TRAINER, PRESETS])
        raise UserError(f"{name} contains {shown(values)}; {consequence}: it needs the sections {sections}")
    return values


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


def _describe(details: ErrorDetails, merged: dict[str, Any], written: dict[str, Any]) -> str:
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
            return f"{path}: unknown key{_suggest(location, merged)}"
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
    for index, part in enumerate(location):
        if has_part(values, part):
            values = values[part]
            path.append(part)
        elif index == len(location) - 1:
            path.append(part)
    return tuple(path)


def _suggest(location: Location, values: Any) -> str:
    """The known key most similar to the unknown one at ``location``, or all known keys of its section."""
    known = [*Parameters.model_fields, TRAINER, PRESETS]
    if len(location) > 1:
        section = _section_type(location[:-1], values)
        known = list(section.model_fields) if section else []
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; known keys here: {', '.join(known)}" if known else "; remove it"


def _section_type(location: Location, values: Any) -> type[Config] | None:
    """The class of the section at ``location``; that of a union's branch is told by the section's kind."""
    section: type[Config] | None = Parameters
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
