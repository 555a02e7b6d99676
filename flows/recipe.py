"""Runs the pipeline with one of the recipes in ``recipes/``: ``python -m flows.recipe NAME``.

A recipe holds the parameters that differ from the committed ``params.yaml``. They are written into ``params.yaml``, so
that DVC, MLflow and the user see what was run. Its key ``prepare``, which is not a parameter, lists modules that make
its data: each is run first, with ``python -m``, and leaves alone what is already there and current.
"""

import argparse
import io
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.paths import LOCK, PARAMETERS
from flows.pipeline import run_and_show
from flows.runtime.commands import run_command
from flows.upgrade import upgrade_text
from lmcore.errors import UserError
from lmcore.runtime.files import write_text
from tasks.context.parameters import load_parameters
from tasks.context.trainer_section import KIND_KEYS
from tasks.context.yaml_values import read_yaml

logger = logging.getLogger(__name__)

RECIPES = Path("recipes")
PREPARE = "prepare"
"""The key of a recipe that is not a section of the parameters: the modules that make its data."""


def take_recipe(name: str) -> None:
    """Write the committed parameters, changed by the recipe, into ``params.yaml``; errors as for :func:`recipe_text`.

    The file is left unchanged on an error.
    """
    write_text(PARAMETERS, recipe_text(name))


def recipe_text(name: str) -> str:
    """The committed parameters, changed by the recipe and checked.

    Raises:
        UserError: if there is no such recipe, if the result is not valid, or if ``params.yaml`` has changes that are
            neither committed nor from a recipe.
    """
    if name not in (names := recipe_names()):
        raise UserError(f"there is no recipe {name!r}; available recipes: {', '.join(names)}")
    for recipe in names:
        _check_recipe(RECIPES / f"{recipe}.yaml")
    chosen = RECIPES / f"{name}.yaml"
    if upgrade_text(chosen.read_text(encoding="utf-8"), is_recipe=True)[1]:
        raise UserError(f"{chosen} is in the last release's format: convert it with `python -m flows.upgrade {chosen}`")
    committed = _committed_parameters()
    merged = {recipe: apply_recipe(committed, RECIPES / f"{recipe}.yaml") for recipe in names}
    if PARAMETERS.read_bytes() not in [text.encode() for text in (committed, *merged.values())]:
        raise UserError(
            f"{PARAMETERS} has changes that the recipe would overwrite: commit them (the recipe then builds on "
            f"them) or put them aside with `git stash`"
        )
    with tempfile.TemporaryDirectory() as folder:
        checked = Path(folder) / PARAMETERS.name
        checked.write_text(merged[name], encoding="utf-8")
        load_parameters(checked, shown_as=PARAMETERS)
    return merged[name]


def prepare_data(name: str) -> None:
    """Run the modules that make the data of a recipe, which show their own progress.

    Raises:
        UserError: if one of them fails.
    """
    modules = read_yaml(RECIPES / f"{name}.yaml").get(PREPARE, [])
    for number, module in enumerate(modules, start=1):
        logger.info("Preparing the data of recipe %s (%d of %d): python -m %s", name, number, len(modules), module)
        ended = subprocess.run([sys.executable, "-m", module], stdin=subprocess.DEVNULL, check=False)
        if ended.returncode != 0:
            raise UserError(
                f"`python -m {module}`, which makes data of the recipe {name}, failed with exit code "
                f"{ended.returncode}, see above; {PARAMETERS} was not changed"
            )


def _check_recipe(recipe: Path) -> None:
    try:
        values = read_yaml(recipe)
    except UserError as error:
        raise UserError(f"{recipe} {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{recipe} has no sections: a recipe consists of the sections of {PARAMETERS} that it changes")
    modules = values.get(PREPARE, [])
    if not isinstance(modules, list) or not all(isinstance(module, str) and _is_module(module) for module in modules):
        raise UserError(
            f"{recipe}: {PREPARE} = {modules!r}: expected a list of Python modules, such as [flows.collect]"
        )


def _is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def recipe_names() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def apply_recipe(parameters: str, recipe: Path) -> str:
    """The text of ``params.yaml`` with a recipe's values; comments are kept.

    Sections are merged key by key. A section of the recipe that names its kind (``kind``, ``family``, the ``name`` of
    an optimizer) replaces the whole section, since other kinds have other keys.
    """
    yaml = YAML()  # in the style of `dvc exp run -S`, which then changes one line
    yaml.default_flow_style = False
    values = yaml.load(parameters)
    changes = YAML(typ="safe").load(recipe.read_text(encoding="utf-8"))
    changes.pop(PREPARE, None)
    _merge(values, changes)
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def _merge(section: Any, changes: Any) -> None:
    for key, change in changes.items():
        if isinstance(change, dict) and isinstance(section.get(key), dict) and not KIND_KEYS & change.keys():
            _merge(section[key], change)
        elif key in section:
            section[key] = change
        else:
            # What follows the section, a blank line or the next key's comment, is attached to the section's last key.
            last = next(reversed(section))
            section[key] = change
            if last in section.ca.items:
                section.ca.items[key] = section.ca.items.pop(last)


def _committed_parameters() -> str:
    shown = subprocess.run(["git", "show", f"HEAD:./{PARAMETERS}"], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        raise UserError(f"a recipe is applied to the committed {PARAMETERS}, but git has none: {shown.stderr.strip()}")
    return shown.stdout


def _run_recipe() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.recipe", description="Run the pipeline with a recipe.")
    parser.add_argument("name", nargs="?", help=f"one of {', '.join(recipe_names())}")
    if (name := parser.parse_args().name) is None:
        raise UserError(f"choose a recipe: {', '.join(recipe_names())} (make recipe NAME={recipe_names()[0]})")
    recipe_text(name)  # no time is spent on data if the recipe is refused
    prepare_data(name)
    take_recipe(name)
    logger.info("Recipe %s is now in %s", name, PARAMETERS)
    run_and_show()
    logger.info("To undo: git checkout %s %s && dvc repro (results come from the cache)", PARAMETERS, LOCK)


def main() -> None:
    """The command line."""
    run_command("recipe", _run_recipe)


if __name__ == "__main__":
    main()
