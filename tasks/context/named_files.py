"""What the parameters name besides sources: a spaCy pipeline, a tokenizer, word vectors, models to start from.

From ``params.yaml``, DVC knows only the names. The content is pinned in ``sources.lock``, on whose entries the stages
depend. Of a registered model (``models:/NAME@ALIAS``), version and content are pinned: the stage uses these, whatever
the alias names later.
"""

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lmcore.config.base import LANGUAGE_MODEL, SCRATCH
from lmcore.config.clean import HOW_TO_INSTALL
from lmcore.config.finetune import SectionConfig, section_names
from lmcore.errors import UserError
from lmcore.runtime.files import content_digest
from tasks.context.parameters import Parameters
from tasks.context.source_lock import HOW_TO_ACCEPT, NamedFile, read_lock, write_lock

STAGES = ("clean", "tokenize", "pretrain", "finetune")
"""The stages with parameters that name files."""
REGISTERED = "models:/"
"""How the address of a registered model begins."""
INIT_FROM = "init_from"
WRITTEN = (Path("models/language-model"), Path("models/finetuned"))
"""The model folders that the pipeline writes (``flows/paths.py``)."""

PinModel = Callable[[str, NamedFile | None], tuple[str, str]]
"""Gives the version and the SHA-256 of a registered model, from its address and what is pinned for it."""


def refresh_named_files(parameters: Parameters, *, lock: Path, pin_model: PinModel) -> list[str]:
    """Pin the current content of everything that parameters name; return the changes, in words.

    Args:
        parameters: the parameters.
        lock: the lock file.
        pin_model: looks up registered models.

    Raises:
        UserError: if a file does not exist.
    """
    pinned = read_lock(lock)
    before = {entry.parameter: entry for entries in pinned.files.values() for entry in entries}
    now = {stage: _current(parameters, stage, before, pin_model) for stage in STAGES}
    if pinned.files != now:
        write_lock(lock, replace(pinned, files=now))
    found = {entry.parameter: entry for entries in now.values() for entry in entries}
    changes = []
    for parameter, entry in found.items():
        earlier = before.get(parameter)
        if earlier is None or earlier.name != entry.name:
            changes.append(f"{parameter}: {entry.name} is new")
        elif earlier != entry:
            version = f" and is version {entry.version} now" if entry.version != earlier.version else ""
            changes.append(f"{parameter}: {entry.name} has changed{version}")
    gone = [entry for parameter, entry in before.items() if parameter not in found]
    return changes + [f"{entry.parameter}: {entry.name} is no longer used" for entry in gone]


def check_named_files(parameters: Parameters, stage: str, *, lock: Path) -> Sequence[NamedFile]:
    """Check that what a stage's parameters name has the pinned content; DVC itself notices a changed name.

    Returns:
        what is pinned for the stage.

    Raises:
        UserError: if a file does not exist or has changed, or a registered model is not pinned.
    """
    entries = read_lock(lock).files.get(stage, ())
    pinned = {(entry.parameter, entry.name): entry for entry in entries}
    for parameter, name in named_files(parameters, stage).items():
        entry = pinned.get((parameter, name))
        if is_registered(name):
            if entry is None:
                raise UserError(f"{parameter}: {name} is not pinned in {lock}: run `python -m flows.refresh`")
        elif _content(parameter, name) != (entry.content if entry else _content(parameter, name)):
            raise UserError(f"{parameter}: {name} has changed since {lock} was written\n{HOW_TO_ACCEPT}")
    return entries


def named_files(parameters: Parameters, stage: str) -> dict[str, str]:
    """What the parameters of a stage name, by the path of the parameter."""
    return dict(_named_files(parameters, stage))


def is_registered(name: str) -> bool:
    """Whether a name is the address of a registered model."""
    return name.startswith(REGISTERED)


def _named_files(parameters: Parameters, stage: str) -> Iterator[tuple[str, str]]:
    match stage:
        case "clean" if parameters.clean.pipeline is not None:
            yield "clean.pipeline", parameters.clean.pipeline
        case "tokenize" if parameters.tokenize.tokenizer.kind == "existing":
            yield "tokenize.tokenizer.path", parameters.tokenize.tokenizer.path
        case "pretrain" if parameters.pretrain.init_from != SCRATCH:
            yield f"pretrain.{INIT_FROM}", parameters.pretrain.init_from
        case "finetune":
            for name, section in parameters.finetune.sections.items():
                yield from _files_of_section(f"finetune.{name}", section)


def _files_of_section(path: str, section: SectionConfig) -> Iterator[tuple[str, str]]:
    if (vectors := getattr(section, "vectors", None)) is not None:
        yield f"{path}.vectors", str(vectors)
    if (template := getattr(section, "chat_template", None)) is not None:
        yield f"{path}.chat_template", str(template)
    if section.init_from not in (SCRATCH, LANGUAGE_MODEL, *section_names()):
        yield f"{path}.{INIT_FROM}", section.init_from


def _current(parameters: Parameters, stage: str, before: dict[str, NamedFile], pin_model: PinModel) -> list[NamedFile]:
    found = []
    for parameter, name in named_files(parameters, stage).items():
        if is_registered(name):
            pinned = before.get(parameter)
            version, content = pin_model(name, pinned if pinned and pinned.name == name else None)
            found.append(NamedFile(parameter, name, content, version))
        else:
            found.append(NamedFile(parameter, name, _content(parameter, name)))
    return found


def _content(parameter: str, name: str) -> str:
    path = Path(name)
    if parameter.endswith(INIT_FROM) and any(path.absolute().is_relative_to(own.absolute()) for own in WRITTEN):
        raise UserError(
            f"{parameter} = {name!r}: the pipeline replaces this folder while it runs; name the model "
            f"({LANGUAGE_MODEL}, {', '.join(section_names())}; {REGISTERED}NAME/VERSION for an earlier one), or a copy"
        )
    if path.exists():
        return content_digest(path)
    if parameter.endswith(INIT_FROM):
        known = ", ".join((SCRATCH, LANGUAGE_MODEL, *section_names()))
        raise UserError(
            f"{parameter} = {name!r}: there is no such folder; expected {known}, a model folder, or the address of a "
            f"registered model ({REGISTERED}NAME@ALIAS or {REGISTERED}NAME/VERSION)"
        )
    if parameter != "clean.pipeline":
        raise UserError(f"{parameter}: file {name!r} does not exist")
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"clean.pipeline: {name!r} is neither a folder nor an installed package: {HOW_TO_INSTALL}"
        ) from error
