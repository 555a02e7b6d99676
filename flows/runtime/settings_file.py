"""Reads the settings of a comparison: a small YAML file, checked as a whole."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lmcore.config.base import Config
from lmcore.errors import UserError
from tasks.context.yaml_values import read_yaml

SettingsT = TypeVar("SettingsT", bound=Config)


def read_settings(path: Path, kind: type[SettingsT]) -> SettingsT:
    """The settings in a file.

    Raises:
        UserError: with one line per error, all of them at once; or if there is no such file.
    """
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name a file with settings, or restore it with git") from None
    except UserError as error:
        raise UserError(f"{path} {error}") from None
    try:
        return kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        lines = [_describe(details["loc"], details["msg"]) for details in error.errors(include_url=False)]
        raise UserError("\n  ".join([f"{path} has errors; nothing was started:", *lines])) from None


def _describe(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{'.'.join(map(str, location))}: {text[:1].lower()}{text[1:]}" if location else text
