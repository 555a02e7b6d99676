"""The rules of the imports, read from the source: who may use whom, and what ``dvc.yaml`` has to name."""

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[1]
PACKAGES = ("lmcore", "tasks", "flows")
STAGES = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]
STAGES_AFTER = {stage: list(STAGES)[index + 1 :] for index, stage in enumerate(STAGES)}

# Inside lmcore: the folders whose modules each folder may use, apart from itself and from the bottom.
BOTTOM = {"config", "errors", "progress", "runtime"}
BELOW = {
    "text": set(),
    "tokens": {"text"},
    "models": {"text", "tokens"},
    "training": {"text", "tokens", "models"},
    "generation": {"text", "tokens", "models"},
    "finetuning": {"text", "tokens", "models", "generation"},
    "evaluation": {"text", "tokens", "models", "training", "finetuning", "generation"},
    "api": {"text", "tokens", "models", "training", "finetuning", "generation"},
    "command_line": {"text", "tokens", "models", "training", "finetuning", "generation", "evaluation", "api"},
}

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


# What a library user does not have: the tools and files of the pipeline, and its parameters by their path.
PIPELINE_WORDS = re.compile(
    r"\b(?:dvc(?:\.yaml|\.lock)?|prefect|mlflow|params\.yaml|sources\.lock)\b|\bLMCORE_|`make [a-z]+"
    r"|(?<![\w.])(?:flows|tasks|collect|clean|tokenize|trainer|pretrain|finetune|evaluate)\.[a-z_{]+",
    re.IGNORECASE,
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name; a package by the name of its folder."""
    files = [file for package in PACKAGES for file in sorted((PROJECT / package).rglob("*.py"))]
    return {name_of(file): file for file in files}


def name_of(file: Path) -> str:
    parts = file.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(module: str, *, for_types: bool = False) -> frozenset[str]:
    """Dotted names of what a module imports, also inside functions; ``for_types``: also for a type checker alone."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if for_types else run_time_nodes(tree)
    return frozenset(name for node in nodes for name in imported(node))


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below ``node``, without what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from run_time_nodes(child)


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute in this project"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@cache
def project_imports(module: str, *, for_types: bool = False) -> set[str]:
    """The modules of the project that a module imports; a name that a package passes on counts as its module."""
    known = modules()
    found = set()
    for name in imports(module, for_types=for_types):
        if name.split(".")[0] in PACKAGES:
            found.add(resolve(name, known))
    return found - {module}


def resolve(name: str, known: dict[str, Path]) -> str:
    """The module that an imported name is defined in."""
    if name in known:
        return name
    package, _, attribute = name.rpartition(".")
    if known[package].name != "__init__.py":
        return package
    passed_on = [found for found in imports(package) if found.split(".")[-1] == attribute]
    return resolve(passed_on[0], known) if passed_on else package


def top(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("lmcore", {"tasks", "flows", "prefect", "mlflow", "dvc"}), ("tasks", {"flows"}), ("flows", {"mlflow"})],
)
def test_imports_go_from_flows_to_tasks_to_lmcore_only(package: str, forbidden: set[str]) -> None:
    crossing = [
        (module, name)
        for module in modules()
        if top(module) == package
        for name in imports(module)
        if top(name) in forbidden
    ]
    assert crossing == []


def test_only_tracking_imports_mlflow() -> None:
    importing = {module for module in modules() if any(top(name) == "mlflow" for name in imports(module))}
    assert importing
    assert all(module.startswith("tasks.tracking") for module in importing)


def test_lmcore_reads_neither_the_environment_nor_the_current_folder() -> None:
    reading = {"os.environ", "os.getenv", "os.getcwd", "Path.cwd", "sys.argv"}
    found = [
        (module, ast.unparse(node))
        for module, file in modules().items()
        if top(module) == "lmcore"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in reading
    ]
    assert found == []


def test_lmcore_names_nothing_that_only_the_pipeline_knows() -> None:
    """Neither in messages nor in docstrings: tools, commands, environment variables and paths of parameters."""
    found = {
        name: names
        for name, file in modules().items()
        if top(name) == "lmcore"
        if (names := sorted({match.group() for text in texts_in(file) for match in PIPELINE_WORDS.finditer(text)}))
    }
    assert found == {}


def texts_in(file: Path) -> Iterator[str]:
    """The string constants of a module; an f-string as one, with ``{}`` for its expressions."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            waiting += [part for part in node.values if not isinstance(part, ast.Constant)]
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("folder", sorted(BELOW))
def test_the_folders_of_lmcore_use_only_what_lies_below_them(folder: str) -> None:
    allowed = BELOW[folder] | BOTTOM | {folder}
    crossing = [
        (module, name)
        for module in modules()
        if module.startswith(f"lmcore.{folder}")
        for name in project_imports(module)
        if name.split(".")[1] not in allowed
    ]
    assert crossing == []


def test_models_use_of_the_tokens_only_the_tokenizer_and_its_vocabulary() -> None:
    used = {
        name
        for module in modules()
        if module.startswith("lmcore.models")
        for name in project_imports(module)
        if name.startswith("lmcore.tokens")
    }
    assert used == {"lmcore.tokens.tokenizer.tokenizer", "lmcore.tokens.tokenizer.vocabulary"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    needs = {
        module: {name for name in project_imports(module, for_types=True) if modules()[name].name != "__init__.py"}
        for module in modules()
    }
    TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_no_folders_import_each_other_in_a_circle(depth: int) -> None:
    """A module counts for the folder that holds it, or for itself where it lies higher; so do types."""
    needs = defaultdict[str, set[str]](set)
    for module in modules():
        part = part_of(module, depth)
        needs[part] |= {part_of(name, depth) for name in project_imports(module, for_types=True)} - {part}
    TopologicalSorter(needs).prepare()


def part_of(module: str, depth: int) -> str:
    return ".".join(module.split(".")[:depth])


def test_errors_for_the_user_are_user_errors() -> None:
    """A plain ValueError is shown with its traceback; pydantic turns those of its validators into messages itself."""
    plain = [
        f"{name}:{node.lineno}"
        for name, file in modules().items()
        if not name.startswith("lmcore.config")
        and name not in ("tasks.context.parameters", "tasks.context.server_record")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        if isinstance(node.exc.func, ast.Name) and node.exc.func.id == "ValueError"
    ]
    assert plain == []


@pytest.mark.parametrize(
    ("modules_to_import", "allowed"),
    [
        ("tasks.context.parameters, tasks.context.environment, flows.runtime.commands, flows.refresh", set()),
        ("flows.runtime.stage, flows.pipeline", {"prefect"}),  # which holds the decorator of a flow
    ],
)
def test_parameters_are_checked_without_importing_anything_heavy(modules_to_import: str, allowed: set[str]) -> None:
    program = f"import sys, {modules_to_import}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    heavy = {
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "spacy",
        "sklearn",
        "matplotlib",
        "mlflow",
        "prefect",
        "dvc",
    }
    assert heavy & set(done.stdout.split()) <= allowed


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


def test_every_test_is_at_the_path_of_what_it_tests() -> None:
    """``lmcore/a/b.py`` is tested by ``tests/lmcore/a/test_b.py``; a package as one by ``tests/lmcore/a/test_a.py``."""
    lost = [
        str(test.relative_to(PROJECT))
        for package in PACKAGES
        for test in sorted((PROJECT / "tests" / package).rglob("test_*.py"))
        if not is_tested_by(test)
    ]
    assert lost == []


def test_every_module_has_tests_at_its_path() -> None:
    """Modules without functions, such as those that only run a flow, need none; see above for the paths."""
    untested = []
    for name, file in modules().items():
        folder = PROJECT / "tests" / file.relative_to(PROJECT).parent
        own, of_package = folder / f"test_{file.stem}.py", folder / f"test_{file.parent.name}.py"
        has_code = any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(file.read_text("utf-8"))))
        if file.name != "__init__.py" and has_code and not own.exists() and not of_package.exists():
            untested.append(name)
    assert untested == []


def is_tested_by(test: Path) -> bool:
    """Whether there is a module or a package at the path of a file of tests."""
    folder, name = PROJECT / test.parent.relative_to(PROJECT / "tests"), test.stem.removeprefix("test_")
    return (folder / f"{name}.py").exists() or (folder.name == name and (folder / "__init__.py").exists())


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
