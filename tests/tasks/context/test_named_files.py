"""What a stage is given by name in ``params.yaml``: another content is noticed, by DVC as well."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lmcore.errors import UserError
from lmcore.text.sources.snapshot import Content, Snapshot
from tasks.context.named_files import STAGES, check_named_files, named_files, refresh_named_files
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.source_lock import Lock, NamedFile, read_lock, write_lock

PROJECT = Path(__file__).parents[3]
COUNTED = f"{sys.executable} -c \"open('runs', 'a').write('x')\""
SOURCES = {"given": Snapshot("abc", {"a.txt": Content(1, 2, "f" * 64)})}
PARAMETERS = {
    "clean": ("clean.pipeline",),
    "tokenize": ("tokenize.tokenizer.path",),
    "pretrain": ("pretrain.init_from",),
    "finetune": ("finetune.classification.vectors", "finetune.completion.init_from"),
}


def no_registry(address: str, _pinned: NamedFile | None) -> tuple[str, str]:
    raise AssertionError(f"{address} is no registered model")


def settings(folder: Path, stage: str, name: object) -> Parameters:
    """The project's parameters, in which those of ``stage`` name a file."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(PROJECT / "params.yaml")
    match stage:
        case "clean":
            values["clean"]["pipeline"] = str(name)
        case "tokenize":
            values["tokenize"]["tokenizer"] = {"kind": "existing", "path": str(name)}
        case "pretrain":
            values["pretrain"] |= {"init_from": str(name), "model": None, "sequence_length": 24}
            values["pretrain"]["training"]["batch_size"] = 4
        case "finetune":
            values["finetune"]["classification"]["vectors"] = str(name)
            values["finetune"]["completion"]["init_from"] = str(name)
    yaml.dump(values, folder / "params.yaml")
    return load_parameters(folder / "params.yaml")


def refresh(parameters: Parameters, lock: Path) -> list[str]:
    return refresh_named_files(parameters, lock=lock, pin_model=no_registry)


def repro(folder: Path) -> int:
    """How often the stage has run after ``dvc repro``."""
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, check=True)
    return len((folder / "runs").read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_runs_a_stage_again_when_the_file_that_it_is_given_has_changed(tmp_path: Path, stage: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    graph = YAML(typ="safe", pure=True).load(PROJECT / "dvc.yaml")
    one_stage = {"cmd": COUNTED, "params": graph["stages"][stage]["params"]}
    YAML().dump({"stages": {stage: one_stage}}, tmp_path / "dvc.yaml")
    file, lock = tmp_path / "file", tmp_path / "sources.lock"
    write_lock(lock, Lock(SOURCES))
    file.write_text("first")
    parameters = settings(tmp_path, stage, file)
    assert refresh(parameters, lock) == [f"{name}: {file} is new" for name in PARAMETERS[stage]]
    assert [repro(tmp_path), repro(tmp_path)] == [1, 1]
    check_named_files(parameters, stage, lock=lock)
    file.write_text("second")
    with pytest.raises(UserError, match=rf"{file} has changed since .*\n.* `python -m flows.refresh`"):
        check_named_files(parameters, stage, lock=lock)
    assert refresh(parameters, lock) == [f"{name}: {file} has changed" for name in PARAMETERS[stage]]
    assert [repro(tmp_path), refresh(parameters, lock), repro(tmp_path)] == [2, [], 2]
    check_named_files(parameters, stage, lock=lock)
    assert read_lock(lock).sources == SOURCES


def test_another_name_is_a_change_that_needs_no_acceptance(tmp_path: Path) -> None:
    lock = tmp_path / "sources.lock"
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    refresh(settings(tmp_path, "tokenize", tmp_path / "one"), lock)
    check_named_files(settings(tmp_path, "tokenize", tmp_path / "other"), "tokenize", lock=lock)
    own = load_parameters(PROJECT / "params.yaml")
    check_named_files(own, "tokenize", lock=lock)
    assert refresh(own, lock) == [f"tokenize.tokenizer.path: {tmp_path / 'one'} is no longer used"]


def test_a_registered_model_is_pinned_with_its_version(tmp_path: Path) -> None:
    parameters, lock = settings(tmp_path, "pretrain", "models:/base@best"), tmp_path / "sources.lock"
    with pytest.raises(UserError, match=r"pretrain\.init_from: models:/base@best is not pinned .*flows\.refresh`"):
        check_named_files(parameters, "pretrain", lock=lock)
    answers = [("3", "a" * 64), ("4", "b" * 64)]
    asked = []

    def pin(address: str, pinned: NamedFile | None) -> tuple[str, str]:
        asked.append((address, pinned and pinned.version))
        return answers[len(asked) - 1]

    assert refresh_named_files(parameters, lock=lock, pin_model=pin) == ["pretrain.init_from: models:/base@best is new"]
    (entry,) = check_named_files(parameters, "pretrain", lock=lock)
    assert entry == NamedFile("pretrain.init_from", "models:/base@best", "a" * 64, "3")
    assert refresh_named_files(parameters, lock=lock, pin_model=pin) == [
        "pretrain.init_from: models:/base@best has changed and is version 4 now"
    ]
    assert asked == [("models:/base@best", None), ("models:/base@best", "3")]


def test_what_is_not_there_is_an_error_that_names_the_parameter(tmp_path: Path) -> None:
    for stage, message in (
        ("clean", "clean.pipeline: 'nowhere' is neither a folder nor an installed package: .*pip install"),
        ("tokenize", "tokenize.tokenizer.path: file 'nowhere' does not exist"),
        ("pretrain", "pretrain.init_from = 'nowhere': there is no such folder; expected scratch, "),
        ("finetune", "finetune.classification.vectors: file 'nowhere' does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            refresh(settings(tmp_path, stage, "nowhere"), tmp_path / "sources.lock")
    with pytest.raises(UserError, match=r"pretrain\.init_from = 'models/language-model': the pipeline replaces"):
        refresh(settings(tmp_path, "pretrain", "models/language-model"), tmp_path / "sources.lock")
    assert not (tmp_path / "sources.lock").exists()


def test_the_committed_lock_has_a_line_for_each_stage_and_pins_what_its_parameters_name() -> None:
    parameters, files = load_parameters(PROJECT / "params.yaml"), read_lock(PROJECT / "sources.lock").files
    assert tuple(files) == STAGES
    for stage, entries in files.items():
        assert {entry.parameter: entry.name for entry in entries} == named_files(parameters, stage)
