"""Converts files of the last release to the format of this one: ``python -m flows.upgrade PATH...``.

A path is a parameter file (``params.yaml``), a recipe or a model folder, which is replaced. Text is edited where a
setting has changed: comments, order and layout stay. A file that cannot be converted stays as it is.
"""

import argparse
import json
import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode

from flows.runtime import yaml_text
from flows.runtime.commands import run_command
from flows.runtime.new_settings import TRAININGS, with_new_settings
from flows.runtime.prompt_settings import with_templates
from flows.runtime.renamed_settings import COMMENTS, EVALUATE_KEYS, GENERATIONS, KEYS, SAMPLING_KEYS, SHARED, VALUES
from flows.runtime.yaml_text import Edit, KeyPath, apply_edits, compose, find_key
from lmcore.config.version_1 import model_keys
from lmcore.errors import UserError
from lmcore.runtime.files import atomic_file
from tasks.context.parameters import VERSION, load_parameters
from tasks.context.trainer_section import TRAINER, value_at
from tasks.context.yaml_values import read_yaml

logger = logging.getLogger("flows.upgrade")  # also where this file is run as a command

VERSION_COMMENT = "# format of this file; `python -m flows.upgrade params.yaml` converts an older one\n"
TRAINER_COMMENT = """\
# what all trainings share: the `training` sections below have the other settings and may override these. For all
# trainings: dvc exp run -S trainer.precision=float32; for one: dvc exp run -S +pretrain.training.precision=float32
"""


def upgrade(path: Path) -> list[str]:
    """Convert a parameter file, a recipe or a model folder in place.

    Returns:
        What was changed, a line each; nothing if the file is in the format of this release already.

    Raises:
        FileNotFoundError: if there is no such path.
        UserError: if it cannot be converted; it is unchanged then.
    """
    if path.is_dir():
        return _upgrade_folder(path)
    try:
        values = read_yaml(path)
    except UserError as error:
        raise UserError(f"{path} {error}; nothing was written") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is neither a parameter file nor a recipe: it has no sections; nothing was written")
    if "version" not in values and "trainer" in values and "collect" in values:
        raise UserError(
            f"{path} is in format {VERSION} already, but has no version: add `version: {VERSION}`; nothing was written"
        )
    version = values.get("version", 1)
    if version not in (1, VERSION):
        raise UserError(f"{path}: version {version} is unknown to this release; nothing was written")
    sections = values.get("evaluate")
    is_recipe = not isinstance(sections, dict) or not sections.keys() >= EVALUATE_KEYS
    text = path.read_text(encoding="utf-8")
    try:
        text, changes = with_additions(text) if version == VERSION else upgrade_text(text, is_recipe=is_recipe)
    except UserError as error:
        raise UserError(f"{path}: {error}; nothing was written") from None
    if not changes:
        return []
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if not is_recipe:
            load_parameters(temporary, consequence="it was not converted", shown_as=path)
    return changes


def _upgrade_folder(path: Path) -> list[str]:
    # These import PyTorch.
    from lmcore.models.conversion import convert_model_folder
    from lmcore.models.folder import folder_version

    if folder_version(path) == VERSION:
        return []
    return [f"model.{old} -> {new}" for old, new in convert_model_folder(path, path)]


def with_additions(text: str) -> tuple[str, list[str]]:
    """The text of a parameter file of this format with the settings that it lacks, and what was added."""
    text, changes = with_templates(text)
    text, added = with_new_settings(text)
    return text, [*changes, *added]


def upgrade_text(text: str, *, is_recipe: bool) -> tuple[str, list[str]]:
    """The text of a parameter file or recipe in the format of this release, and what was changed.

    Raises:
        UserError: if a section has a setting under its old and its new name.
    """
    for old, new in COMMENTS.items():
        text = text.replace(old, new)
    text, changes = _rename(text)
    for generation in GENERATIONS:
        text, more = _flatten_decoding(text, generation, is_recipe=is_recipe)
        changes += more
    text, more = with_templates(text)
    changes += more
    text, added = with_new_settings(text, is_recipe=is_recipe)
    if is_recipe:
        return text, [*changes, *added]
    text, more = _share(text)
    text = f"{VERSION_COMMENT}version: {VERSION}\n\n{text}"
    return text, [f"version: {VERSION} is new", *changes, *added, *more]


def _rename(text: str) -> tuple[str, list[str]]:
    root, edits, changes = compose(text), set[Edit](), list[str]()
    family = find_key(root, ("pretrain", "model", "family"))
    keys = KEYS | {("pretrain", "model"): model_keys(family[1].value if family else None)}
    for path, names in keys.items():
        found = find_key(root, path)
        entries = found[1].value if found and isinstance(found[1], MappingNode) else []
        present, renamed = {key.value for key, _ in entries}, list[str]()
        for key, _ in entries:
            if (new := names.get(key.value)) is None:
                continue
            if new in present:
                raise UserError(f"{_dotted(path)} has both {key.value} and {new}, its new name; remove one of them")
            edits.add((key.start_mark.index, key.end_mark.index, new))
            renamed.append(f"{key.value} -> {new}")
        if renamed:
            changes.append(f"{_dotted(path)}: {', '.join(renamed)}")
    text = apply_edits(text, edits)
    root, edits = compose(text), set()
    for path, values in VALUES.items():
        found = find_key(root, path)
        if found and (new := values.get(found[1].value)):
            edits.add((found[1].start_mark.index, found[1].end_mark.index, new))
            changes.append(f"{_dotted(path)}: {found[1].value} -> {new}")
    text = apply_edits(text, edits)
    for training in TRAININGS:
        if find_key(compose(text), path := (*training, "optimizer", "adamw", "name")):
            text = yaml_text.without_key(text, path)
            changes.append(f"{_dotted(path)} is gone")
    return text, changes


def _flatten_decoding(text: str, generation: KeyPath, *, is_recipe: bool) -> tuple[str, list[str]]:
    """``decoding`` with its method becomes ``num_beams``, ``do_sample`` and what belongs to them."""
    root, path = compose(text), (*generation, "decoding")
    found, parent = find_key(root, path), find_key(root, generation)
    if found is None or parent is None or not isinstance(found[1], MappingNode):
        return text, []
    key, node = found
    new = _flat(value_at(YAML(typ="safe").load(text), path))
    null = " null" if is_recipe or parent[1].flow_style else ""  # as DVC writes params.yaml
    settings = [f"{name}:{null if value is None else f' {json.dumps(value)}'}" for name, value in new.items()]
    separator = ", " if parent[1].flow_style else "\n" + " " * key.start_mark.column
    text = apply_edits(text, [(key.start_mark.index, yaml_text.end_of(key, node), separator.join(settings))])
    return text, [f"{_dotted(path)} -> {', '.join(new)}"]


def _flat(old: dict[str, Any]) -> dict[str, Any]:
    unused = dict.fromkeys(SAMPLING_KEYS)
    if old.get("method") == "beam_search":
        penalty = old.get("length_penalty") if old.get("n_beams") != 1 else None
        return {"num_beams": old.get("n_beams"), "do_sample": False, **unused, "length_penalty": penalty}
    # A recipe may change one of the settings and leave the method as it is.
    new: dict[str, Any] = {"num_beams": 1, "length_penalty": None} if "method" in old else {}
    if old.get("temperature") == 0:
        return new | {"do_sample": False, **unused}
    new |= {"do_sample": True} if "temperature" in old else {}
    return new | {name: old[name] for name in SAMPLING_KEYS if name in old}


def _share(text: str) -> tuple[str, list[str]]:
    """Move the settings that all trainings have in common to the section ``trainer``."""
    values = YAML(typ="safe").load(text)
    trainings = [path for path in TRAININGS if isinstance(value_at(values, path), dict)]
    kinds = {value_at(values, (*path, "optimizer", "name")) for path in trainings}
    lines, shared = [f"{TRAINER}:"], list[str]()
    opened: KeyPath = ()
    for setting in SHARED:
        keys = [(*path, *setting) for path in trainings]
        found = {json.dumps(value_at(values, key, "missing")) for key in keys}
        if len(found) > 1 or '"missing"' in found or not yaml_text.has_own_lines(text, keys):
            continue
        if setting[0] == "optimizer" and len(kinds) > 1:
            continue
        parents = [setting[:depth] for depth in range(1, len(setting))]
        lines += [f"{'  ' * len(path)}{path[-1]}:" for path in parents if path != opened[: len(path)]]
        opened = setting[:-1]
        start, end = yaml_text.lines_of(text, keys[0])
        lines.append(textwrap.indent(textwrap.dedent(text[start:end]).rstrip("\n"), "  " * len(setting)))
        shared.append(_dotted(setting))
        for key in keys:
            text = yaml_text.without_key(text, key)
    if not shared:
        lines[0] += " {}"
    section = TRAINER_COMMENT + "\n".join(lines) + "\n\n"
    start = yaml_text.lines_of(text, ("pretrain",))[0]
    change = f"{TRAINER} is new, with the settings that all trainings have in common: {', '.join(shared)}"
    return text[:start] + section + text[start:], [change]


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path)


def _run() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m flows.upgrade", description="Convert files of the last release to the format of this one."
    )
    parser.add_argument("path", nargs="+", type=Path, help="params.yaml, a recipe or a model folder")
    for path in parser.parse_args().path:
        if changes := upgrade(path):
            logger.info("\n  ".join([f"{path} was converted to format {VERSION}:", *changes]))
        else:
            logger.info("%s needs no conversion to format %d and was not changed", path, VERSION)


def main() -> None:
    """The command line."""
    run_command("upgrade", _run)


if __name__ == "__main__":
    main()
