"""Converts model folders that an earlier release has written."""

import shutil
from pathlib import Path
from typing import Any

from lmcore.config.version_1 import rename_model_keys
from lmcore.errors import UserError
from lmcore.models.folder import (
    CONFIG,
    RECORD,
    TOKENIZER,
    VERSION,
    as_description,
    description_values,
    folder_version,
    read_json,
)
from lmcore.models.verification import SUMS, verify, write_sums
from lmcore.runtime.files import atomic_folder, write_json
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


def convert_model_folder(source: Path, target: Path) -> list[tuple[str, str]]:
    """Write the model in ``source`` to ``target`` in the format that this release reads; the weights stay as they are.

    Args:
        source: a model folder of format 1, in which settings have other names and files have no version.
        target: a new folder, or ``source`` itself, which is then replaced.

    Returns:
        The old and the new name of every setting that was renamed.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if ``source`` is no model folder of format 1, a file of it was altered, or ``target`` is another
            folder that exists. Nothing is written then.
    """
    if target.exists() and target.resolve() != source.resolve():
        raise UserError(f"{target} exists: choose a new folder, or remove it")
    if (version := folder_version(source)) == VERSION:
        raise UserError(f"{source} is in format {VERSION} already: there is nothing to convert")
    if version > VERSION:
        raise UserError(f"{source} is in format {version}, which this release does not know: use a newer release")
    names = sorted(path.name for path in source.iterdir() if path.is_file() and path.name != SUMS)
    verify(source, *names)
    config, record = read_json(source / CONFIG), read_json(source / RECORD)
    model = config.get("model")
    renamed = list(rename_model_keys(model)) if isinstance(model, dict) else []
    config |= {"problem_type": None, "temperature": None}
    if config.get("kind") == "classifier":
        config |= {"problem_type": "single_label_classification", "temperature": 1.0}
    if isinstance(prompt_format := config.get("prompt_format"), dict):
        config["prompt_format"] = _with_template(prompt_format, Tokenizer.load(source / TOKENIZER))
    description = as_description(config, source / CONFIG)
    with atomic_folder(target) as temporary:
        for name in names:
            shutil.copyfile(source / name, temporary / name)
        write_json(temporary / CONFIG, description_values(description))
        write_json(temporary / RECORD, {"version": VERSION, **record})
        write_sums(temporary)
    return renamed


def _with_template(prompt_format: dict[str, Any], tokenizer: Tokenizer) -> dict[str, Any]:
    """The same prompts with a template: the text and then what separated it from the completion.

    Values of a wrong type stay, and are refused as any other.
    """
    separator, longest = prompt_format.get("separator"), prompt_format.get("max_prompt_tokens")
    if not isinstance(separator, str) or not isinstance(longest, int):
        return prompt_format
    others = {key: value for key, value in prompt_format.items() if key != "separator"}
    constant = f"{{% raw %}}{separator}{{% endraw %}}" if "{" in separator else separator
    new = {"template": f"{{{{ text }}}}{constant}", "truncated_field": "text", "truncation_side": "right"}
    return new | others | {"max_prompt_tokens": longest + len(tokenizer.encode(separator))}
