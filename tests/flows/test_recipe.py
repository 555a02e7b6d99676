"""Recipes: every one is valid, and no uncommitted settings are lost."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.recipe import apply_recipe, recipe_names, take_recipe
from lmcore.errors import UserError
from tasks.context.parameters import load_parameters
from tests.sample_project import PROJECT, Sample, commit_all

NAMES = sorted(path.stem for path in (PROJECT / "recipes").glob("*.yaml"))


@pytest.fixture
def project(committed_project: Sample) -> Sample:
    return committed_project


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_makes_valid_parameters_with_its_values_in_them(name: str, project: Sample) -> None:
    take_recipe(name)
    load_parameters(Path("params.yaml"))
    yaml = YAML(typ="safe")
    wanted, found = (yaml.load(path.read_text()) for path in (Path(f"recipes/{name}.yaml"), Path("params.yaml")))
    assert is_part_of(wanted, found)


def is_part_of(part: object, whole: object) -> bool:
    if not isinstance(part, dict):
        return part == whole
    return isinstance(whole, dict) and all(key in whole and is_part_of(part[key], whole[key]) for key in part)


def test_what_a_recipe_does_not_name_stays_with_its_comment(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("b:\n  kind: new\n  z: null\nc:\n  d: 3\n")
    parameters = "a: 1.0e-3  # small\nb:\n  kind: old\n  y: 1\nc:\n  d: 2\n  # why\n  e: [1, 'x']\n  f: null\n"
    assert apply_recipe(parameters, tmp_path / "r.yaml") == (
        "a: 1.0e-3  # small\nb:\n  kind: new\n  z:\nc:\n  d: 3\n  # why\n  e: [1, x]\n  f:\n"
    )


def test_one_recipe_after_another_is_the_other_alone(project: Sample) -> None:
    first, *_, last = recipe_names()
    take_recipe(last)
    alone = Path("params.yaml").read_bytes()
    take_recipe(first)
    assert Path("params.yaml").read_bytes() != alone
    take_recipe(last)
    assert Path("params.yaml").read_bytes() == alone


def test_settings_that_nobody_has_committed_are_not_lost(project: Sample) -> None:
    project.set_language("de")
    own = Path("params.yaml").read_bytes()
    with pytest.raises(
        ValueError, match=r"params.yaml has changes .* commit them.* or put them aside with `git stash`"
    ):
        take_recipe(NAMES[0])
    assert Path("params.yaml").read_bytes() == own
    commit_all()
    take_recipe(NAMES[0])
    assert load_parameters(Path("params.yaml")).clean.language == "de"


def test_a_recipe_with_an_error_changes_nothing(project: Sample) -> None:
    Path("recipes/wrong.yaml").write_text("pretrain:\n  seed: minus one\n")
    before = Path("params.yaml").read_bytes()
    with pytest.raises(ValueError, match=r"params.yaml has 1 error; nothing.*\n  pretrain.seed = \"minus one\""):
        take_recipe("wrong")
    assert Path("params.yaml").read_bytes() == before
    assert not list(Path().glob(".params*"))


def test_a_recipe_of_the_last_release_is_refused_with_the_command_that_converts_it(project: Sample) -> None:
    shutil.copyfile(PROJECT / "tests/flows/last_release/recipes/lstm.yaml", "recipes/old.yaml")
    before = Path("params.yaml").read_bytes()
    try:
        with pytest.raises(UserError, match=r"convert it with `python -m flows\.upgrade recipes/old\.yaml`"):
            take_recipe("old")
    finally:
        Path("recipes/old.yaml").unlink()
    assert Path("params.yaml").read_bytes() == before


def test_an_unknown_recipe_is_an_error_that_lists_those_there_are(project: Sample) -> None:
    with pytest.raises(ValueError, match=rf"no recipe 'ptb'.* recipes: {', '.join(NAMES)}"):
        take_recipe("ptb")


@pytest.mark.parametrize("content", [b"", b"- a\n", b"a: [", b"\xff\xfe", b"a: &a [*a]", b"[" * 5000])
def test_a_damaged_recipe_is_named_and_changes_nothing(content: bytes, project: Sample) -> None:
    Path("recipes/wrong.yaml").write_bytes(content)
    before = Path("params.yaml").read_bytes()
    try:
        with pytest.raises(UserError, match=r"recipes/wrong\.yaml"):
            take_recipe("wrong")
    finally:
        Path("recipes/wrong.yaml").unlink()
    assert Path("params.yaml").read_bytes() == before


def test_without_a_name_the_recipes_are_listed(project: Sample) -> None:
    done = project.run("flows.recipe")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"choose a recipe: {', '.join(NAMES)}" in line
