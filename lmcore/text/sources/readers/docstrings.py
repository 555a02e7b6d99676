"""Docstrings of Python modules, read from their source code; nothing is imported or run."""

import ast
import gc
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.input_files.input_file import InputFile

# The fields of syntax tree nodes that contain statements, in the order of their lines.
BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring without its indentation, and the full name, the kind and the line of what it documents."""

    text: str
    name: str
    kind: str
    line: int


def read_docstrings(file: InputFile) -> Iterator[Document | ReadError]:
    """Yield the docstrings of a module in the order of their lines, labeled with its package.

    Raises:
        InputError: if it cannot be read, is larger than ``max_bytes``, or cannot be parsed (``unreadable_module``).
    """
    with file.open() as stream:
        source = stream.read(file.max_bytes + 1)
    if len(source) > file.max_bytes:
        raise file.too_long("the module")
    name = module_name(file.path)
    with _without_garbage_collection():
        try:
            found = list(docstrings(parse(source), name))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = error.lineno if isinstance(error, SyntaxError) else None
            raise InputError("unreadable_module", _reason(error), line) from error
    for docstring in found:
        yield file.document(docstring.text, kind=docstring.kind, line=docstring.line, name=docstring.name)


def parse(source: bytes) -> ast.Module:
    """Parse a module; respects its encoding declaration.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: if this version of Python cannot parse it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Invalid escapes in strings of packages.
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
    """Yield the docstrings of the definitions in the blocks of a statement; expressions contain none."""
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
    """Pause the garbage collector, which would repeatedly walk the growing syntax trees and find nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _reason(error: Exception) -> str:
    """The error in words that are the same on every machine."""
    return error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
