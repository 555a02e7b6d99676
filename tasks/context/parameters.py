"""``params.yaml`` as one checked value: every error at once, each with path, value and what would be right."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from lmcore.config.base import Config
from lmcore.config.clean import CleanConfig
from lmcore.config.collect import CollectConfig
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import TokenizeConfig
from lmcore.config.training import PretrainConfig
from lmcore.errors import UserError
from tasks.context.yaml_values import SHOWN_CHARACTERS, read_yaml, shown


class Parameters(Config):
    """The sections of ``params.yaml``: one per stage, named as the stage."""

    collect: CollectConfig
    clean: CleanConfig
    tokenize: TokenizeConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig

    @model_validator(mode="after")
    def _have_maps_for_adapters(self) -> Self:
        """Adapters stand beside linear maps, which not every family has."""
        family = self.pretrain.model.family
        tasks = {"classification": self.finetune.classification, "completion": self.finetune.completion}
        adapted = [f"finetune.{name}.lora" for name, task in tasks.items() if task is not None and task.lora]
        if adapted and not self.pretrain.model.takes_adapters:
            raise ValueError(
                f"{' and '.join(adapted)}: a model of family {family} has no linear maps for adapters; set it to null"
            )
        return self

    @model_validator(mode="after")
    def _fit_the_context(self) -> Self:
        """What a model reads and writes at once has to fit the context that it is trained with."""
        context = max_position_embeddings_of(self.pretrain.model)
        if context is None:
            return self
        sizes = {
            "pretrain.sequence_length": self.pretrain.sequence_length,
            "evaluate.likelihood.window_stride_tokens": self.evaluate.likelihood.window_stride_tokens,
            "evaluate.samples.generation.max_new_tokens": self.evaluate.samples.generation.max_new_tokens + 1,
        }
        if completion := self.finetune.completion:
            answer = max(completion.max_completion_tokens, self.evaluate.completion.generation.max_new_tokens)
            if self.pretrain.model.reads_source:
                sizes["finetune.completion.max_prompt_tokens"] = completion.max_prompt_tokens
                sizes["the completion with its end token"] = answer + 1
            else:
                both = completion.max_prompt_tokens + answer
                sizes["finetune.completion.max_prompt_tokens with the completion"] = both
        too_large = [f"{name} takes {size}" for name, size in sizes.items() if size > context]
        if too_large:
            raise ValueError(
                f"pretrain.model.max_position_embeddings is {context}, but {' and '.join(too_large)} tokens"
            )
        return self


def load_parameters(path: Path, *, consequence: str = "nothing was started") -> Parameters:
    """Read and check a whole parameter file.

    Args:
        path: the file.
        consequence: what the message says of the work that an error has kept from starting.

    Raises:
        UserError: with one line per error (path in the file, value, what would be right), all of them at once.
        FileNotFoundError: if there is no such file.
    """
    values = _read(path, consequence)
    try:
        # JSON mode keeps strictness about types while reading lists as tuples and strings as paths.
        return Parameters.model_validate_json(json.dumps(values))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        lines = [_describe(details, values) for details in errors if not _only_follows(details, errors)]
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise UserError("\n  ".join([f"{path} has {count}; {consequence}:", *lines])) from None


def _read(path: Path, consequence: str) -> Any:
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: run from the project's root, or restore it with git") from None
    except UserError as error:
        problem, *lines = str(error).split("\n")
        end = ":" if lines else ""
        raise UserError("\n".join([f"{path} {problem.removesuffix(':')}; {consequence}{end}", *lines])) from None
    if values is None:
        raise UserError(f"{path} is empty; {consequence}: restore it with `git checkout {path}`")
    if not isinstance(values, dict):
        sections = ", ".join(Parameters.model_fields)
        raise UserError(f"{path} holds {shown(values)}; {consequence}: it has the sections {sections}")
    return values


def _only_follows(details: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short only because of its entries, which are errors of their own."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        other["loc"][: len(place)] == place for other in errors if other is not details
    )


def _describe(details: ErrorDetails, values: Any) -> str:
    location = _locate(details["loc"], values)
    path = ".".join(str(part) for part in location)
    if not path:
        return details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key{_suggest(location)}"
        case "missing":
            return f"{path}: missing; add it (there are no hidden defaults)"
        case "union_tag_invalid" | "union_tag_not_found":
            return _describe_kind(path, details)
        case _:
            message = details["msg"].removeprefix("Value error, ")
            return f"{path} = {_shown(details['input'])}: {message[0].lower()}{message[1:]}"


def _describe_kind(path: str, details: ErrorDetails) -> str:
    """A section of a kind (family, method, name) that there is not: the kinds there are, not the whole section."""
    context = details.get("ctx", {})
    key = str(context["discriminator"]).strip("'")
    if details["type"] == "union_tag_not_found":
        return f"{path}.{key}: missing; it sets the kind of this section"
    known = str(context["expected_tags"]).replace("'", "")
    nearest = difflib.get_close_matches(str(context["tag"]), known.split(", "), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{path}.{key} = {_shown(context['tag'])}: expected one of {known}{hint}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _locate(location: tuple[int | str, ...], values: Any) -> list[int | str]:
    """The error's path as it stands in the file: pydantic also names the branch of a union, which does not."""
    path: list[int | str] = []
    for position, part in enumerate(location):
        is_last = position == len(location) - 1
        stands = (isinstance(values, dict) and part in values) or (
            isinstance(values, list) and isinstance(part, int) and part < len(values)
        )
        if stands:
            values = values[part]
            path.append(part)
        elif is_last:
            path.append(part)
    return path


def _suggest(location: list[int | str]) -> str:
    """Nearest known key of the section the unknown one stands in, if there is one."""
    known: list[str] = []
    section: Any = Parameters
    for part in location[:-1]:
        field = getattr(section, "model_fields", {}).get(part)
        section = field.annotation if field else None
    if section is not None:
        known = list(getattr(section, "model_fields", {}))
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; known keys here: {', '.join(known)}" if known else "; remove it"
