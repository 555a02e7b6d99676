"""Older files are converted to exactly the settings that they meant; what cannot be stays.

``last_release`` holds ``params.yaml`` and the recipes as the last release in format 1 had them, and in ``format_2`` the
same settings as the first release in format 2 had them. Both get what is new since.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from flows.recipe import apply_recipe
from flows.runtime.new_settings import with_new_settings
from flows.upgrade import upgrade
from lmcore.errors import UserError
from lmcore.models.folder import read_description
from tasks.context.parameters import load_parameters
from tests.sample_project import PROJECT

LAST_RELEASE = Path(__file__).parent / "last_release"
RECIPES = sorted(path.name for path in (LAST_RELEASE / "recipes").glob("*.yaml"))
FORMAT_2 = LAST_RELEASE / "format_2"
MODELS = PROJECT / "tests" / "lmcore" / "models" / "last_release"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(LAST_RELEASE / "params.yaml", tmp_path / "params.yaml"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The same settings as ``old``, in format 2, with what is new since."""
    path = Path(shutil.copyfile(FORMAT_2 / "params.yaml", tmp_path / "newer.yaml"))
    upgrade(path)
    return path


def changed(path: Path, before: str, after: str) -> Path:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    return path


def comments(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines() if line.strip().startswith("#")]


def test_both_formats_become_the_same_parameters(old: Path, newer: Path) -> None:
    with pytest.raises(UserError, match=r"is in format 1, .*`python -m flows\.upgrade .*params\.yaml`"):
        load_parameters(old)
    changes = upgrade(old)
    assert load_parameters(old) == load_parameters(newer)
    assert any("max_epochs -> num_train_epochs" in change for change in changes)
    assert upgrade(old) == []


def test_comments_and_layout_stay(old: Path) -> None:
    before = comments(old)
    assert "# also person, with a trained pipeline" in before
    upgrade(old)
    after = comments(old)
    # All but the four comments that name settings which have new names.
    assert len([comment for comment in before if comment in after]) == len(before) - 4
    text = old.read_text()
    assert "  # for example 0.99: average of the last weights; null: none\n  ema_decay:\n" in text
    apply_overrides(old, ["pretrain.seed=2"])
    assert old.read_text() == text.replace("  seed: 1", "  seed: 2", 1)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_makes_the_same_parameters_in_both_formats(
    recipe: str, old: Path, newer: Path, tmp_path: Path
) -> None:
    upgrade(old)
    before = comments(LAST_RELEASE / "recipes" / recipe)
    made = []
    for parameters, folder in ((old, LAST_RELEASE), (newer, FORMAT_2)):
        converted = Path(shutil.copyfile(folder / "recipes" / recipe, tmp_path / recipe))
        upgrade(converted)
        if folder == LAST_RELEASE:
            assert comments(converted) == [comment.replace("starts_from", "init_from") for comment in before]
        path = tmp_path / f"{len(made)}.yaml"
        path.write_text(apply_recipe(parameters.read_text(), converted))
        made.append(load_parameters(path))
    assert made[0] == made[1]


@pytest.mark.parametrize("value", ["", " null", " {}"])
def test_a_section_without_settings_gets_no_new_ones(value: str, newer: Path) -> None:
    changed(newer, "  chat:\n", f"  chat:{value}\n")
    text = newer.read_text()
    assert with_new_settings(text) == (text, [])


def test_the_programs_that_make_the_data_of_a_recipe_stay(tmp_path: Path) -> None:
    path = tmp_path / "lstm.yaml"
    path.write_text("prepare: [a.b]\n\n" + (LAST_RELEASE / "recipes/lstm.yaml").read_text())
    assert upgrade(path)
    assert YAML(typ="safe").load(path)["prepare"] == ["a.b"]


def test_parameters_that_a_recipe_made_are_converted(old: Path, newer: Path, tmp_path: Path) -> None:
    for recipe in RECIPES:
        path = tmp_path / "made.yaml"
        path.write_text(apply_recipe((LAST_RELEASE / "params.yaml").read_text(), LAST_RELEASE / "recipes" / recipe))
        upgrade(path)
        converted = Path(shutil.copyfile(FORMAT_2 / "recipes" / recipe, tmp_path / recipe))
        upgrade(converted)
        own = tmp_path / "own.yaml"
        own.write_text(apply_recipe(newer.read_text(), converted))
        assert load_parameters(path) == load_parameters(own)


def test_trainings_that_differ_keep_their_own_settings(old: Path) -> None:
    changed(old, "    gradient_clip_norm: 1.0\n", "    gradient_clip_norm: 2.0\n")
    upgrade(old)
    parameters = load_parameters(old)
    assert parameters.pretrain.training.max_grad_norm == 2.0
    assert parameters.finetune.classification is not None
    assert parameters.finetune.classification.training.max_grad_norm == 1.0
    assert "max_grad_norm" not in YAML(typ="safe").load(old)["trainer"]


def test_sections_in_one_line_are_converted_as_well(old: Path, newer: Path) -> None:
    decoding = "      decoding:\n        method: sampling\n        temperature: 0.0\n        top_k:\n        top_p:\n"
    one_line = "      decoding: {method: beam_search, n_beams: 4, length_penalty: 0.5}\n"
    changed(old, f"{decoding}        min_p:\n        seed: 1\n", one_line)
    changed(
        old,
        "    schedule:\n      warm_up_steps: 20\n      # linear or cosine\n      decay: linear\n"
        "      decay_share: 0.6\n      final_share: 0.02\n",
        "    schedule: {warm_up_steps: 20, decay: linear, decay_share: 0.6, final_share: 0.02}\n",
    )
    upgrade(old)
    parameters = load_parameters(old)
    assert parameters.pretrain == load_parameters(newer).pretrain
    generation = parameters.evaluate.completion.generation
    assert (generation.num_beams, generation.length_penalty, generation.do_sample) == (4, 0.5, False)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("window_tokens: 256", "window_tokens: many", 'pretrain.sequence_length = "many": input should be'),
        ("window_tokens: 256", "window_tokns: 256", "pretrain.window_tokns: unknown key"),
        (
            "window_tokens: 256",
            "window_tokens: 256\n  sequence_length: 256",
            "has both window_tokens and sequence_length",
        ),
        ("window_tokens: 256", "window_tokens: [", "is not valid YAML"),
        ("collect:", "version: 3\ncollect:", "version 3 is unknown to this release; nothing was written"),
    ],
)
def test_a_file_that_cannot_be_converted_is_one_message_and_stays(
    before: str, after: str, message: str, old: Path
) -> None:
    text = changed(old, before, after).read_text()
    with pytest.raises(UserError) as caught:
        upgrade(old)
    assert message in str(caught.value)
    assert str(old) in str(caught.value)
    assert old.read_text() == text
    assert [path.name for path in old.parent.iterdir()] == ["params.yaml"]


def test_the_command_converts_parameters_and_model_folders_and_says_what_it_changed(old: Path, tmp_path: Path) -> None:
    model = shutil.copytree(MODELS / "lstm", tmp_path / "model")
    command = [sys.executable, "-m", "flows.upgrade", str(old), str(model)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert f"{old} was converted to format 2:\n" in said
    assert "  pretrain.model: width -> hidden_size, n_layers -> num_hidden_layers" in said
    assert f"{model} was converted to format 2:\n  model.width -> embedding_size" in said
    assert read_description(model).model.family == "lstm"
    again = subprocess.run(command[:4], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert "needs no conversion to format 2 and was not changed" in again.stdout + again.stderr


def test_parameters_of_this_release_without_a_version_are_told_to_add_it(tmp_path: Path) -> None:
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("version: 2\n", ""), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(UserError, match="add `version: 2`; nothing was written"):
        upgrade(path)
    assert path.read_bytes() == before
