"""``params.yaml`` as one checked value: every error at once, each with path, value and what would be right."""

import difflib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lmcore.config import Config
from lmcore.evaluation.config import EvaluateConfig
from lmcore.models.config import EncoderDecoderConfig, context_length_of, takes_adapters
from lmcore.text.cleaning.config import CleanConfig
from lmcore.text.sources.config import CollectConfig
from lmcore.tokens.config import TokenizeConfig
from lmcore.training.config import FinetuneConfig, PretrainConfig


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
        if adapted and not takes_adapters(family):
            raise ValueError(
                f"{' and '.join(adapted)}: a model of family {family} has no linear maps for adapters; set it to null"
            )
        return self

    @model_validator(mode="after")
    def _fit_the_context(self) -> Self:
        """What a model reads and writes at once has to fit the context that it is trained with."""
        context = context_length_of(self.pretrain.model)
        if context is None:
            return self
        sizes = {
            "pretrain.window_tokens": self.pretrain.window_tokens,
            "evaluate.likelihood.window_stride_tokens": self.evaluate.likelihood.window_stride_tokens,
            "evaluate.samples.generation.max_tokens": self.evaluate.samples.generation.max_tokens + 1,
        }
        if completion := self.finetune.completion:
            answer = max(completion.max_completion_tokens, self.evaluate.completion.generation.max_tokens)
            if isinstance(self.pretrain.model, EncoderDecoderConfig):
                sizes["finetune.completion.max_prompt_tokens"] = completion.max_prompt_tokens
                sizes["the completion with its end token"] = answer + 1
            else:
                both = completion.max_prompt_tokens + answer
                sizes["finetune.completion.max_prompt_tokens with the completion"] = both
        too_large = [f"{name} takes {size}" for name, size in sizes.items() if size > context]
        if too_large:
            raise ValueError(f"pretrain.model.context_length is {context}, but {' and '.join(too_large)} tokens")
        return self


def load_parameters(path: Path) -> Parameters:
    """Read and check a whole parameter file.

    Raises:
        ValueError: with one line per error (path in the file, value, what would be right), all of them at once.
    """
    values = _read_yaml(path)
    try:
        # JSON mode keeps strictness about types while reading lists as tuples and strings as paths.
        return Parameters.model_validate_json(json.dumps(values))
    except ValidationError as error:
        lines = [_describe(details, values) for details in error.errors(include_url=False)]
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise ValueError("\n  ".join([f"{path} has {count}; nothing was started:", *lines])) from None


def _read_yaml(path: Path) -> Any:
    try:
        # YAML 1.2, as DVC reads it: 3e-4 is a number and `off` is a string.
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: run from the project's root, or restore it with git") from None
    except YAMLError as error:
        raise ValueError(f"{path} is not valid YAML; nothing was started:\n{error}") from None


def _describe(details: ErrorDetails, values: Any) -> str:
    location = _locate(details["loc"], values)
    path = ".".join(str(part) for part in location)
    if not path:
        return details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key{_suggest(location)}"
        case "missing":
            return f"{path}: missing; add it (every value stands in this file, there are no hidden defaults)"
        case _:
            message = details["msg"].removeprefix("Value error, ")
            return f"{path} = {json.dumps(details['input'], default=str)}: {message[0].lower()}{message[1:]}"


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
