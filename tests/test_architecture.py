"""The rules of the imports, read from the source: who may use whom, and what no module may name or raise."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.project_modules import PROJECT, imports, modules, project_imports, top

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

# What a library user does not have: the tools and files of the pipeline, and its parameters by their path.
PIPELINE_WORDS = re.compile(
    r"\b(?:dvc(?:\.yaml|\.lock)?|prefect|mlflow|params\.yaml|sources\.lock)\b|\bLMCORE_|`make [a-z]+"
    r"|(?<![\w.])(?:flows|tasks|collect|clean|tokenize|trainer|pretrain|finetune|evaluate)\.[a-z_{]+",
    re.IGNORECASE,
)


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
