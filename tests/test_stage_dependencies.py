"""A stage of ``dvc.yaml`` names the code and the pins of the packages that make its outputs, and no others."""

import sys
from collections import Counter

import pytest
from ruamel.yaml import YAML

from tests.project_modules import PACKAGES, PROJECT, imports, modules, name_of, project_imports, top

STAGES = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]
STAGES_AFTER = {stage: list(STAGES)[index + 1 :] for index, stage in enumerate(STAGES)}

# What carries a run and does not make its outputs: servers, tracking, checkpoints, progress; and the classes of the
# settings, whose values DVC compares.
CARRIERS = (
    "flows.paths",  # dvc.yaml has the same paths as outputs, and DVC compares those
    "flows.runtime",
    "tasks.context",
    "tasks.tracking",
    "lmcore.config",
    "lmcore.errors",
    "lmcore.progress",
)

# Packages by the name of their import, where that is another one.
PACKAGE_OF = {"rouge_score": "rouge_score", "sklearn": "scikit-learn", "stdnum": "python-stdnum"}
# Packages that carry a run, or draw and format what was computed without them.
CARRYING_PACKAGES = {"distributed", "filelock", "jinja2", "markupsafe", "psutil", "pydantic", "pynvml"}
# The corpus page's pictures show numbers that clean has computed; texts are encoded by the rules of the tokenizer's
# spaCy long after these decided its vocabulary.
USED_BESIDE = {
    "clean": {"matplotlib"},
    "pretrain": {"spacy"},
    "finetune": {"spacy"},
    "evaluate": {"spacy"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_names_the_code_that_makes_its_outputs(stage: str) -> None:
    """A folder may hold code of stages before this one, which run again anyway, but of no stage after it."""
    needed = code_of(stage)
    named = {module for module in code_named_by(stage) if not is_carrier(module)}
    assert needed - named == set(), "dvc.yaml does not name code that the stage runs: a change there goes unnoticed"
    later = {module for other in STAGES_AFTER[stage] for module in code_of(other)}
    earlier = {module for other in STAGES if stage in STAGES_AFTER[other] for module in code_of(other)}
    in_vain = (named - needed) & (later - earlier)
    assert in_vain == set(), "dvc.yaml names code of a later stage: a change there re-runs this one in vain"


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_names_the_pins_of_the_packages_that_it_computes_with(stage: str) -> None:
    imported_packages = {
        PACKAGE_OF.get(top(name), top(name))
        for module in code_of(stage)
        for name in imports(module)
        if top(name) not in sys.stdlib_module_names and top(name) not in PACKAGES
    }
    pinned = {
        line.split("==")[0]
        for dependency in STAGES[stage]["deps"]
        if dependency.startswith("constraints/")
        for line in (PROJECT / dependency).read_text(encoding="utf-8").splitlines()
    }
    assert imported_packages - pinned - CARRYING_PACKAGES - USED_BESIDE.get(stage, set()) == set()


def test_every_package_is_pinned_once() -> None:
    whole = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = sorted(line.removeprefix("-c ") for line in whole if line.startswith("-c "))
    assert parts == sorted(str(file.relative_to(PROJECT)) for file in (PROJECT / "constraints").iterdir())
    lines = [*whole, *(line for part in parts for line in (PROJECT / part).read_text(encoding="utf-8").splitlines())]
    pinned = Counter(line.split("==")[0] for line in lines if "==" in line)
    assert {name: count for name, count in pinned.items() if count > 1} == {}


def code_named_by(stage: str) -> set[str]:
    """The modules in the files and folders that a stage depends on."""
    found = set()
    for dependency in STAGES[stage]["deps"]:
        path = PROJECT / dependency
        if top(dependency.replace("/", ".")) in PACKAGES:
            assert path.exists(), f"{stage} names {dependency}, which is not there"
            found |= {name_of(file) for file in ([path] if path.is_file() else path.rglob("*.py"))}
    return found


def code_of(stage: str) -> set[str]:
    """The modules that a stage's command runs, without those that only carry the run."""
    waiting, found = [f"flows.{stage}"], set()
    while waiting:
        module = waiting.pop()
        if module not in found and not is_carrier(module):
            found.add(module)
            waiting += sorted(project_imports(module))
    return found


def is_carrier(module: str) -> bool:
    is_package = modules()[module].name == "__init__.py"
    return is_package or any(f"{module}.".startswith(f"{carrier}.") for carrier in CARRIERS)
