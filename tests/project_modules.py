"""The modules of the project and what they import, as the tests of its structure read them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGES = ("lmcore", "tasks", "flows")


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
