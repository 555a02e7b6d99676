"""Docstrings of installed packages, read from their source: nothing of a package is imported or run."""

import ast
import gc
import importlib.metadata
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from lmcore.text.config import InstalledDocumentation
from lmcore.text.documents import Document, Fault, Reading
from lmcore.text.sources.packages import Package, find_package

MODULES_PER_PIECE = 40

# The fields of a syntax tree that hold statements, in the order of their lines.
BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class ModulePiece:
    """Some modules of one package: a piece of work of :class:`InstalledDocumentation`."""

    source: str
    package: Package

    @property
    def size(self) -> int:
        """Number of modules."""
        return len(self.package.modules)

    def read(self) -> Reading:
        """The docstrings of the modules, sorted by path and line."""
        reading = Reading()
        with _without_garbage_collection():
            for path in self.package.modules:
                self._read_module(path, reading)
        return reading

    def _read_module(self, path: str, reading: Reading) -> None:
        package = self.package
        try:
            tree = parse((package.root / path).read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = error.lineno if isinstance(error, SyntaxError) else None
            reading.faults.append(Fault(self.source, path, line, "unreadable_module", _reason(error)))
            return
        for docstring in docstrings(tree, module_name(path)):
            reading.add(
                Document(
                    text=docstring.text,
                    label=package.name,
                    source=self.source,
                    package=package.name,
                    path=path,
                    name=docstring.name,
                    kind=docstring.kind,
                    line=docstring.line,
                    version=package.version,
                    license=package.license,
                )
            )


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring without its indentation; full name, kind and line of what it describes."""

    text: str
    name: str
    kind: str
    line: int


def plan_documentation(config: InstalledDocumentation) -> list[ModulePiece]:
    """Divide the modules of the packages into pieces of work, sorted by package and path.

    Raises:
        ValueError: naming every package that is not installed or has no modules, and what to do.
    """
    packages, missing = [], []
    for name in sorted(set(config.packages)):
        try:
            package = find_package(name, config.skipped)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        packages.append(package)
    if missing:
        raise ValueError(
            f"source {config.name!r} names packages that are not installed: {', '.join(missing)}; "
            f"install them with `pip install {' '.join(missing)}`, or take them off its list"
        )
    empty = [package.name for package in packages if not package.modules]
    if empty:
        raise ValueError(
            f"source {config.name!r} names packages without Python modules of their own: {', '.join(empty)}; "
            "an editable installation is such a case: install it from a wheel, or take it off the list"
        )
    return [piece for package in packages for piece in _pieces(config.name, package)]


def parse(source: bytes) -> ast.Module:
    """Parse a module; its own encoding declaration counts.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: if this Python cannot read it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Invalid escapes in others' strings are not ours to report.
        return ast.parse(source)


def docstrings(module: ast.Module, name: str) -> Iterator[Docstring]:
    """Yield the docstrings of a module and of every class and function in it, in the order of their lines."""
    text = ast.get_docstring(module, clean=False)
    if text is not None:
        yield Docstring(inspect.cleandoc(text), name, "module", module.body[0].lineno)
    yield from _docstrings_within(module, name, in_class=False)


def module_name(path: str) -> str:
    """The dotted name of the module at a path relative to the folder of packages."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _docstrings_within(parent: ast.AST, name: str, *, in_class: bool) -> Iterator[Docstring]:
    """Docstrings of the definitions in the blocks of a statement; expressions hold none."""
    for block in BLOCKS:
        for node in getattr(parent, block, ()):
            if not isinstance(node, Definition):
                yield from _docstrings_within(node, name, in_class=in_class)
                continue
            own_name, is_class = f"{name}.{node.name}", isinstance(node, ast.ClassDef)
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                kind = "class" if is_class else "method" if in_class else "function"
                yield Docstring(inspect.cleandoc(text), own_name, kind, node.lineno)
            yield from _docstrings_within(node, own_name, in_class=is_class)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """The collector would walk the growing syntax trees again and again, finding nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _pieces(source: str, package: Package) -> Iterator[ModulePiece]:
    for start in range(0, len(package.modules), MODULES_PER_PIECE):
        modules = package.modules[start : start + MODULES_PER_PIECE]
        yield ModulePiece(source, replace(package, modules=modules))


def _reason(error: BaseException) -> str:
    """The error in words that are the same on every machine."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
