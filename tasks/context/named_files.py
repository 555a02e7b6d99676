"""Files that parameters name, besides the sources: a trained spaCy pipeline, a tokenizer, word vectors.

From ``params.yaml``, DVC knows only their names. Their content is pinned in ``sources.lock``, on whose entries the
stages depend.
"""

import importlib.metadata
from dataclasses import replace
from pathlib import Path

from lmcore.config.clean import HOW_TO_INSTALL
from lmcore.errors import UserError
from lmcore.runtime.files import content_digest
from tasks.context.parameters import Parameters
from tasks.context.source_lock import HOW_TO_ACCEPT, NamedFile, read_lock, write_lock

PARAMETERS = {
    "clean": "clean.pipeline",
    "tokenize": "tokenize.tokenizer.path",
    "finetune": "finetune.classification.vectors",
}
"""The parameter that names a file, by the stage that reads the file."""


def refresh_named_files(parameters: Parameters, *, lock: Path) -> list[str]:
    """Pin the current content of every named file; return the changes, in words.

    Raises:
        UserError: if a file does not exist.
    """
    pinned = read_lock(lock)
    now = {stage: _named_file(parameters, stage) for stage in PARAMETERS}
    if pinned.files != now:
        write_lock(lock, replace(pinned, files=now))
    changes = []
    for stage, found in now.items():
        before = pinned.files.get(stage)
        if found is None and before is not None:
            changes.append(f"{PARAMETERS[stage]}: {before.name} is no longer used")
        elif found is not None and (before is None or before.name != found.name):
            changes.append(f"{PARAMETERS[stage]}: {found.name} is new")
        elif found != before and found is not None:
            changes.append(f"{PARAMETERS[stage]}: {found.name} has changed")
    return changes


def check_named_file(parameters: Parameters, stage: str, *, lock: Path) -> None:
    """Check that the content of a stage's named file is the pinned one; DVC itself notices another name.

    Raises:
        UserError: if the file does not exist or has changed.
    """
    now, pinned = _named_file(parameters, stage), read_lock(lock).files.get(stage)
    if now is not None and pinned is not None and now.name == pinned.name and now.content != pinned.content:
        raise UserError(f"{PARAMETERS[stage]}: {now.name} has changed since {lock} was written\n{HOW_TO_ACCEPT}")


def _named_file(parameters: Parameters, stage: str) -> NamedFile | None:
    name = _name(parameters, stage)
    return None if name is None else NamedFile(name, _content(name, stage))


def _name(parameters: Parameters, stage: str) -> str | None:
    match stage:
        case "clean":
            return parameters.clean.pipeline
        case "tokenize":
            tokenizer = parameters.tokenize.tokenizer
            return tokenizer.path if tokenizer.kind == "existing" else None
        case _:
            classification = parameters.finetune.classification
            return None if classification is None or classification.vectors is None else str(classification.vectors)


def _content(name: str, stage: str) -> str:
    path = Path(name)
    if path.exists():
        return content_digest(path)
    if stage != "clean":
        raise UserError(f"{PARAMETERS[stage]}: file {name!r} does not exist")
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"clean.pipeline: {name!r} is neither a folder nor an installed package: {HOW_TO_INSTALL}"
        ) from error
