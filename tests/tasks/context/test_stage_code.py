"""Which stages an edit of code or a new version of a package concerns: the same ones for DVC and for what is cached."""

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo

from tasks.context.stage_code import stage_code

PROJECT = Path(__file__).parents[3]
STAGES = ("collect", "clean", "tokenize", "pretrain", "finetune", "evaluate")
TRAININGS = ("pretrain", "finetune", "evaluate")
OUTPUTS = (
    "data/raw",
    "data/clean",
    "data/tokens",
    "models/language-model",
    "models/finetuned",
    "reports/pretrain",
    "reports/finetune",
    "reports/evaluate",
)

EDITS = {
    "lmcore/text/sources/__init__.py": ("collect",),
    "lmcore/text/cleaning/__init__.py": ("clean",),
    "lmcore/text/linguistics/__init__.py": ("clean",),
    "lmcore/text/describing/__init__.py": ("clean",),
    "lmcore/tokens/corpus/__init__.py": ("tokenize", *TRAININGS),
    "lmcore/tokens/batches/__init__.py": TRAININGS,
    "lmcore/models/__init__.py": TRAININGS,
    "lmcore/training/__init__.py": ("pretrain", "finetune"),
    "tasks/training.py": ("pretrain", "finetune"),
    "lmcore/generation/__init__.py": ("evaluate",),
    "lmcore/evaluation/__init__.py": ("evaluate",),
    "lmcore/runtime/__init__.py": STAGES,
    "lmcore/progress.py": (),
    "flows/runtime/__init__.py": (),
    "tasks/tracking/__init__.py": (),
    "tasks/context/__init__.py": (),
    "tests/conftest.py": (),
}
"""For each file the stages that an edit of it concerns directly; the stages after them run if their outputs change."""
PACKAGES = {
    "torch": ("constraints/torch.txt", TRAININGS),
    "spacy": ("constraints/spacy.txt", ("clean", "tokenize")),
    "matplotlib": ("constraints/evaluation.txt", ("evaluate",)),
    "lxml": ("constraints/reading.txt", ("collect",)),
    "ftfy": ("constraints/cleaning.txt", ("clean",)),
    "tokenizers": ("constraints/tokenizers.txt", ("tokenize", *TRAININGS)),
    "pyarrow": ("constraints/arrays.txt", STAGES),
    "rich": ("constraints.txt", ()),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project as a DVC repository all of whose stages are up to date."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("lmcore", "tasks", "flows", "constraints", "prompts"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in ("dvc.yaml", "params.yaml", "sources.lock", "constraints.txt", "tests/conftest.py"):
        shutil.copyfile(PROJECT / name, folder / name)
    for output in OUTPUTS:
        (folder / output).mkdir(parents=True)
        (folder / output / "content").write_text(output)
    (folder / "reports" / "metrics.json").write_text("{}")
    with chdir(folder):
        with Repo.init(no_scm=True) as repo:
            repo.commit(force=True)
        yield folder


def stages_that_dvc_runs(project: Path) -> set[str]:
    with Repo(str(project)) as repo:
        return set(repo.status())


def fingerprints(project: Path) -> dict[str, str]:
    stage_code.cache_clear()
    return {stage: stage_code(stage, project) for stage in STAGES}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {stage for stage in STAGES if before[stage] != after[stage]}


def test_nothing_runs_where_nothing_has_changed(project: Path) -> None:
    assert stages_that_dvc_runs(project) == set()
    assert fingerprints(project) == fingerprints(project)
    assert len(set(fingerprints(project).values())) == len(STAGES)


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_concerns_the_stages_that_run_the_code(file: str, project: Path) -> None:
    path, before = project / file, fingerprints(project)
    content = path.read_text(encoding="utf-8")
    path.write_text(f"{content}\n# A comment.\n", encoding="utf-8")
    try:
        assert changed(before, fingerprints(project)) == set(EDITS[file])
        assert stages_that_dvc_runs(project) == set(EDITS[file])
    finally:
        path.write_text(content, encoding="utf-8")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_new_version_concerns_the_stages_that_compute_with_the_package(
    package: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, stages = PACKAGES[package]
    path, before, installed = project / file, fingerprints(project), importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1000.0" if name == package else installed(name))
    content = path.read_text(encoding="utf-8")
    assert f"\n{package}==" in content
    path.write_text(content.replace(f"\n{package}==", f"\n{package}==1000."), encoding="utf-8")
    try:
        assert changed(before, fingerprints(project)) == set(stages)
        assert stages_that_dvc_runs(project) == set(stages)
    finally:
        path.write_text(content, encoding="utf-8")


def test_the_fingerprint_is_that_of_the_content_alone(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns(".dvc"))
    for file in copy.rglob("*.py"):
        os.utime(file, (1, 1))
    (copy / "lmcore" / "text" / "__pycache__").mkdir()
    (copy / "lmcore" / "text" / "__pycache__" / "split.pyc").write_bytes(b"compiled")
    assert fingerprints(copy) == fingerprints(project)
