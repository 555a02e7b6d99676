"""A file that a stage is given by name in ``params.yaml``: another content is noticed, by DVC as well."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lmcore.text.sources.snapshot import Content, Snapshot
from tasks.context.named_files import PARAMETERS, check_named_file, refresh_named_files
from tasks.context.parameters import load_parameters
from tasks.context.source_lock import Lock, read_lock, write_lock

PROJECT = Path(__file__).parents[3]
COUNTED = f"{sys.executable} -c \"open('runs', 'a').write('x')\""
SOURCES = {"given": Snapshot("abc", {"a.txt": Content(1, 2, "f" * 64)})}


def settings(folder: Path, stage: str, name: object) -> Path:
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(PROJECT / "params.yaml")
    match stage:
        case "clean":
            values["clean"]["pipeline"] = str(name)
        case "tokenize":
            values["tokenize"]["tokenizer"] = {"kind": "existing", "path": str(name)}
        case "finetune":
            values["finetune"]["classification"]["vectors"] = str(name)
    yaml.dump(values, folder / "params.yaml")
    return folder / "params.yaml"


def repro(folder: Path) -> int:
    """How often the stage has run after ``dvc repro``."""
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, check=True)
    return len((folder / "runs").read_text())


@pytest.mark.parametrize("stage", PARAMETERS)
def test_dvc_runs_a_stage_again_when_the_file_that_it_is_given_has_changed(tmp_path: Path, stage: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    graph = YAML(typ="safe", pure=True).load(PROJECT / "dvc.yaml")
    one_stage = {"cmd": COUNTED, "params": graph["stages"][stage]["params"]}
    YAML().dump({"stages": {stage: one_stage}}, tmp_path / "dvc.yaml")
    file, lock = tmp_path / "file", tmp_path / "sources.lock"
    write_lock(lock, Lock(SOURCES))
    file.write_text("first")
    parameters = load_parameters(settings(tmp_path, stage, file))
    assert refresh_named_files(parameters, lock=lock) == [f"{PARAMETERS[stage]}: {file} is new"]
    assert [repro(tmp_path), repro(tmp_path)] == [1, 1]
    check_named_file(parameters, stage, lock=lock)
    file.write_text("second")
    with pytest.raises(ValueError, match=rf"{file} has changed since .*\n.* `python -m flows.refresh`"):
        check_named_file(parameters, stage, lock=lock)
    assert refresh_named_files(parameters, lock=lock) == [f"{PARAMETERS[stage]}: {file} has changed"]
    assert [repro(tmp_path), refresh_named_files(parameters, lock=lock), repro(tmp_path)] == [2, [], 2]
    check_named_file(parameters, stage, lock=lock)
    assert read_lock(lock).sources == SOURCES


def test_another_name_is_a_change_that_needs_no_acceptance(tmp_path: Path) -> None:
    lock = tmp_path / "sources.lock"
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    refresh_named_files(load_parameters(settings(tmp_path, "tokenize", tmp_path / "one")), lock=lock)
    check_named_file(load_parameters(settings(tmp_path, "tokenize", tmp_path / "other")), "tokenize", lock=lock)
    own = load_parameters(PROJECT / "params.yaml")
    check_named_file(own, "tokenize", lock=lock)
    assert refresh_named_files(own, lock=lock) == [f"tokenize.tokenizer.path: {tmp_path / 'one'} is no longer used"]


def test_what_is_not_there_is_an_error_that_names_the_parameter(tmp_path: Path) -> None:
    for stage, message in (
        ("clean", "clean.pipeline: 'nowhere' is neither a folder nor an installed package: .*pip install"),
        ("tokenize", "tokenize.tokenizer.path: file 'nowhere' does not exist"),
        ("finetune", "finetune.classification.vectors: file 'nowhere' does not exist"),
    ):
        parameters = load_parameters(settings(tmp_path, stage, "nowhere"))
        with pytest.raises(ValueError, match=message):
            refresh_named_files(parameters, lock=tmp_path / "sources.lock")
    assert not (tmp_path / "sources.lock").exists()


def test_the_committed_lock_has_a_line_for_each() -> None:
    assert read_lock(PROJECT / "sources.lock").files.keys() == PARAMETERS.keys()
