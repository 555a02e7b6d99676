"""Recipes: every one is valid, and no uncommitted settings are lost."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.recipe import apply_recipe, prepare_data, recipe_names, take_recipe
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
    wanted.pop("prepare", None)
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


@pytest.fixture
def program(project: Sample) -> Path:
    """A program that writes the data of the recipe ``prepared``, with another one beside it."""
    Path("makes").mkdir()
    Path("recipes/prepared.yaml").write_text("prepare: [makes.first, makes.second]\npretrain:\n  seed: 7\n")
    Path("makes/second.py").write_text("from pathlib import Path\nPath('second.txt').write_text('made')\n")
    return Path("makes/first.py")


def test_the_data_of_a_recipe_is_made_in_the_folder_of_the_project(program: Path) -> None:
    program.write_text("from pathlib import Path\nPath('first.txt').write_text('made')\n")
    prepare_data("prepared")
    assert [Path(f"{name}.txt").read_text() for name in ("first", "second")] == ["made", "made"]
    take_recipe("prepared")
    values = YAML(typ="safe").load(Path("params.yaml"))
    assert values["pretrain"]["seed"] == 7
    assert "prepare" not in values


@pytest.mark.parametrize("text", ["raise SystemExit(3)\n", "import nothing_like_this\n", None])
def test_a_program_that_fails_stops_the_recipe_before_the_parameters_change(
    text: str | None, program: Path, project: Sample
) -> None:
    if text is not None:
        program.write_text(text)
    before = Path("params.yaml").read_bytes()
    ended = project.run("flows.recipe", "prepared")
    assert ended.returncode == 1
    assert "recipe failed: `python -m makes.first`, which makes data of the recipe prepared, failed" in ended.stderr
    assert Path("params.yaml").read_bytes() == before
    assert not Path("second.txt").exists()


def test_no_data_is_made_for_a_recipe_that_is_refused(program: Path, project: Sample) -> None:
    program.write_text("from pathlib import Path\nPath('first.txt').write_text('made')\n")
    project.set_language("de")
    ended = project.run("flows.recipe", "prepared")
    assert "params.yaml has changes" in ended.stderr
    assert not Path("first.txt").exists()


@pytest.mark.parametrize("value", ["flows.collect", "[1]", "[a b]", "{a: b}", "['../run']", "null"])
def test_programs_are_listed_as_modules(value: str, project: Sample) -> None:
    Path("recipes/wrong.yaml").write_text(f"prepare: {value}\npretrain:\n  seed: 7\n")
    with pytest.raises(UserError, match=r"recipes/wrong\.yaml: prepare = .*expected a list of Python modules"):
        take_recipe("wrong")


def test_every_program_that_a_recipe_names_is_there() -> None:
    yaml = YAML(typ="safe")
    named = {module for name in NAMES for module in yaml.load(PROJECT / f"recipes/{name}.yaml").get("prepare", [])}
    assert named
    assert all((PROJECT / f"{module.replace('.', '/')}.py").exists() for module in named)


def test_without_a_name_the_recipes_are_listed(project: Sample) -> None:
    done = project.run("flows.recipe")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"choose a recipe: {', '.join(NAMES)}" in line
