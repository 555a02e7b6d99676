"""The rules of the imports, read from the source: who may use whom, and what ``dvc.yaml`` has to name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[1]
PACKAGES = ("lmcore", "tasks", "flows")
STAGES = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]

# Inside lmcore: the folders whose modules each folder may use, apart from itself and from the bottom.
BOTTOM = {"config", "device", "errors", "files", "pieces", "progress", "records", "workers"}
BELOW = {
    "text": set(),
    "tokens": {"text"},
    "models": {"tokens"},
    "training": {"text", "tokens", "models"},
    "generation": {"text", "tokens", "models"},
    "evaluation": {"text", "tokens", "models"},
}

# What carries a run and does not make its outputs: servers, tracking, checkpoints, progress.
CARRIERS = (
    "flows.stage",
    "tasks.checkpoints",
    "tasks.environment",
    "tasks.exclusive",
    "tasks.lineage",
    "tasks.named_files",
    "tasks.parameters",
    "tasks.process",
    "tasks.step",
    "tasks.tracking",
    "tasks.yaml_values",
    "lmcore.config",
    "lmcore.errors",
    "lmcore.progress",
    "lmcore.records",
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
def imports(module: str) -> frozenset[str]:
    """What a module imports when it runs, also inside functions: dotted names, as precise as the source says."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return frozenset(name for node in run_time_nodes(tree) for name in imported(node))


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
def project_imports(module: str) -> set[str]:
    """The modules of the project that a module imports; a name that a package passes on counts as its module."""
    known = modules()
    found = set()
    for name in imports(module):
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


@pytest.mark.parametrize("folder", sorted(BELOW))
def test_the_folders_of_lmcore_use_only_what_lies_below_them(folder: str) -> None:
    allowed = BELOW[folder] | BOTTOM | {folder}
    crossing = [
        (module, name)
        for module in modules()
        if module.startswith(f"lmcore.{folder}")
        for name in project_imports(module)
        if name.split(".")[1] not in allowed
        if not (is_settings(module) and is_settings(name))
    ]
    assert crossing == []


def test_models_use_of_the_tokens_only_the_tokenizer_and_its_vocabulary() -> None:
    used = {
        name
        for module in modules()
        if module.startswith("lmcore.models")
        for name in project_imports(module)
        if name.startswith("lmcore.tokens") and not is_settings(name)
    }
    assert used == {"lmcore.tokens.tokenizer", "lmcore.tokens.vocabulary"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    needs = {
        module: {name for name in project_imports(module) if modules()[name].name != "__init__.py"}
        for module in modules()
    }
    TopologicalSorter(needs).prepare()


def test_errors_for_the_user_are_user_errors() -> None:
    """A plain ValueError is shown with its traceback; pydantic turns those of its validators into messages itself."""
    plain = [
        f"{name}:{node.lineno}"
        for name, file in modules().items()
        if not name.endswith(".config") and name not in ("tasks.parameters", "tasks.server_record")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        if isinstance(node.exc.func, ast.Name) and node.exc.func.id == "ValueError"
    ]
    assert plain == []


def test_parameters_are_checked_without_importing_anything_heavy() -> None:
    program = "import sys, flows.stage, flows.pipeline; print(*sys.modules)"
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
    assert heavy & set(done.stdout.split()) == set()


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_names_the_code_that_makes_its_outputs(stage: str) -> None:
    needed = {str(modules()[name].relative_to(PROJECT)) for name in code_of(stage)}
    named = set()
    for dependency in STAGES[stage]["deps"]:
        path = PROJECT / dependency
        if top(dependency.replace("/", ".")) in PACKAGES:
            assert path.exists(), f"{stage} names {dependency}, which is not there"
            named |= {str(file.relative_to(PROJECT)) for file in ([path] if path.is_file() else path.rglob("*.py"))}
    named = {name for name in named if not is_carrier(name_of(PROJECT / name))}
    assert needed - named == set(), "dvc.yaml does not name code that the stage runs: a change there goes unnoticed"
    assert named - needed == set(), "dvc.yaml names code that the stage does not run: a change there re-runs it in vain"


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
    return is_settings(module) or is_package or any(f"{module}.".startswith(f"{carrier}.") for carrier in CARRIERS)


def is_settings(module: str) -> bool:
    """Whether the module holds only the classes that check ``params.yaml``, which may contain each other."""
    return module.split(".")[-1] == "config"
