"""The fingerprint of the code that makes a stage's outputs, as ``dvc.yaml`` names it.

DVC, the artifact caches of the data stages and the checkpoints of trainings share this one definition: the files,
packages and pins of packages among the ``deps`` of the stage.
"""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import file_digest
from tasks.context.environment import Environment

PROJECT = Path(__file__).parents[2]
"""The folder of the running code, which holds ``dvc.yaml``: in an experiment's copy of the project, that copy."""


@cache
def stage_code(stage: str, project: Path = PROJECT) -> str:
    """The fingerprint of a stage's code and of the packages that it computes with, 64 hexadecimal digits.

    It covers the content of the Python files and packages among the stage's ``deps``, the installed versions of the
    packages pinned in the files of ``constraints/`` among them, and the version of Python.

    Args:
        stage: its name in ``dvc.yaml``.
        project: the folder of ``dvc.yaml``, which its paths are relative to.

    Raises:
        KeyError: if ``dvc.yaml`` has no such stage.
    """
    dependencies = [project / path for path in _dependencies(stage, project)]
    files = [file for path in dependencies for file in _code_files(path)]
    packages = [name for path in dependencies if path.parent.name == "constraints" for name in pinned_packages(path)]
    content = {
        "files": {file.relative_to(project).as_posix(): file_digest(file) for file in files},
        "packages": {name: _installed_version(name) for name in packages},
        "python": platform.python_version(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def artifact_cache(environment: Environment, stage: str) -> ArtifactCache:
    """The cache of a stage, whose entries are valid for the stage's present code."""
    return ArtifactCache(environment.cache_folder(stage), code=stage_code(stage))


def pinned_packages(constraints: Path) -> list[str]:
    """The names of the packages that a constraints file pins, in its order."""
    lines = constraints.read_text(encoding="utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line and not line.startswith("#")]


def _dependencies(stage: str, project: Path) -> list[str]:
    stages = YAML(typ="safe").load(project / "dvc.yaml")["stages"]
    return [str(dependency) for dependency in stages[stage]["deps"]]


def _code_files(dependency: Path) -> Iterator[Path]:
    """The files of a dependency if it is code: a Python file or a package; none if it is data."""
    if dependency.suffix == ".py":
        yield dependency
    elif (dependency / "__init__.py").exists():
        files = (file for file in dependency.rglob("*") if file.is_file() and file.parent.name != "__pycache__")
        yield from sorted(files)


def _installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
