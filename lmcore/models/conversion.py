"""Converts model folders that an earlier release has written."""

import shutil
from pathlib import Path

from lmcore.config.version_1 import rename_model_keys
from lmcore.errors import UserError
from lmcore.models.folder import (
    CONFIG,
    RECORD,
    VERSION,
    as_description,
    description_values,
    folder_version,
    read_json,
)
from lmcore.models.verification import SUMS, verify, write_sums
from lmcore.runtime.files import atomic_folder, write_json


def convert_model_folder(source: Path, target: Path) -> list[tuple[str, str]]:
    """Write the model in ``source`` to ``target`` in the format that this release reads; the weights stay as they are.

    Args:
        source: a model folder of format 1, in which settings have other names and files have no version.
        target: a new folder, or ``source`` itself, which is then replaced.

    Returns:
        The old and the new name of every setting that was renamed.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if ``source`` is not a model folder of format 1, a file of it was altered, or ``target`` is another
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
    description = as_description(config, source / CONFIG)
    with atomic_folder(target) as temporary:
        for name in names:
            shutil.copyfile(source / name, temporary / name)
        write_json(temporary / CONFIG, description_values(description))
        write_json(temporary / RECORD, {"version": VERSION, **record})
        write_sums(temporary)
    return renamed
