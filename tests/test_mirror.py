"""The tests mirror the packages: what tests a module is found at its path."""

import ast
from pathlib import Path

from tests.project_modules import PACKAGES, PROJECT, modules


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
