import importlib
import inspect
import sys
import sysconfig
from pathlib import Path

import pytest

from lmcore.config.collect import ReadingLimits
from lmcore.config.readers import Docstrings
from lmcore.text.documents.document import Document, ReadError
from lmcore.text.sources.locations.packages import find_package
from lmcore.text.sources.read_files import read_files
from lmcore.text.sources.readers.docstrings import module_name
from lmcore.text.sources.source_file import SourceFile
from tests.lmcore.text.sources.reader import source

SKIPPED = ("tests", "test_*.py")
TINY_MODULE = '''"""The module."""

raise RuntimeError("nobody imports me")


class Box:
    """A box.

    It holds:
        things.
    """

    @property
    async def lid(self):
        """The lid."""

    class Inner:
        \'\'\'Inside.\'\'\'


if Box:
    def outer():
        "Outer."
        try:
            pass
        except ValueError:
            def rescued(): """Rescued."""
        else:
            def inner():
                """Inner."""


def undocumented(): return """No docstring."""
'''


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package named tiny-package, as a wheel would leave it."""
    files = {
        "tiny/__init__.py": TINY_MODULE,
        "tiny/broken.py": '"""Broken."""\n\ndef (:\n',
        "tiny/coded.py": b'# coding: latin-1\n"""Caf\xe9."""\n',
        "tiny/empty.py": '"""   """\n',
        "tiny/tests/test_it.py": '"""A test."""\n',
        "tiny/test_more.py": '"""Another test."""\n',
    }
    metadata = {
        "METADATA": "Metadata-Version: 2.4\nName: tiny-package\nVersion: 1.2+cpu\nLicense-Expression: MIT\n",
        "RECORD": "".join(f"{name},,\n" for name in (*files, "../../../bin/script.py")),
    }
    files |= {f"tiny_package-1.2.dist-info/{name}": content for name, content in metadata.items()}
    files["tiny/left_by_someone_else.py"] = '"""Not ours."""\n'
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def read(name: str, max_document_bytes: int = 10**6) -> tuple[list[Document], list[ReadError]]:
    """Documents and read errors of a package's modules."""
    package = find_package(name, SKIPPED)
    files = [
        SourceFile(path, package.root / path, 0, package.name, package.version, package.license)
        for path in package.modules
    ]
    limits = ReadingLimits(max_document_bytes=max_document_bytes, max_unpacked_bytes=10**7)
    found = list(read_files(source(Docstrings(kind="docstrings")), files, limits))
    documents = [item for item in found if isinstance(item, Document)]
    return documents, [item for item in found if isinstance(item, ReadError)]


def test_every_docstring_is_found_in_the_order_of_lines(tiny: Path) -> None:
    found = [
        (document.name, document.kind, document.text)
        for document in read("tiny-package")[0]
        if document.path == "tiny/__init__.py"
    ]
    assert found == [
        ("tiny", "module", "The module."),
        ("tiny.Box", "class", "A box.\n\nIt holds:\n    things."),
        ("tiny.Box.lid", "method", "The lid."),
        ("tiny.Box.Inner", "class", "Inside."),
        ("tiny.outer", "function", "Outer."),
        ("tiny.outer.rescued", "function", "Rescued."),
        ("tiny.outer.inner", "function", "Inner."),
    ]


def test_lines_are_those_of_the_definitions(tiny: Path) -> None:
    lines = TINY_MODULE.splitlines()
    for document in read("tiny-package")[0]:
        if document.kind in ("class", "function", "method") and document.path == "tiny/__init__.py":
            assert document.line is not None
            assert document.name is not None
            assert document.name.split(".")[-1] in lines[document.line - 1]


def test_nothing_is_imported(tiny: Path) -> None:
    read("tiny-package")
    assert not any(name.partition(".")[0] == "tiny" for name in sys.modules)


def test_unreadable_modules_are_located_and_lose_nothing_else(tiny: Path) -> None:
    documents, read_errors = read("tiny-package")
    assert [(read_error.path, read_error.line, read_error.reason) for read_error in read_errors] == [
        ("tiny/broken.py", 3, "unreadable_module"),
        ("tiny/empty.py", 1, "empty_text"),
    ]
    assert [document.text for document in documents if document.path == "tiny/coded.py"] == ["Café."]


def test_only_the_packages_own_modules_are_read(tiny: Path) -> None:
    assert find_package("tiny-package", SKIPPED).modules == (
        "tiny/__init__.py",
        "tiny/broken.py",
        "tiny/coded.py",
        "tiny/empty.py",
    )


def test_builds_of_one_release_give_the_same_documents(tiny: Path) -> None:
    documents, _ = read("tiny-package")
    assert {(document.version, document.license) for document in documents} == {("1.2", "MIT")}
    assert {(document.package, document.label) for document in documents} == {("tiny-package", "tiny-package")}


def test_modules_that_cannot_be_read_cost_no_other(tiny: Path) -> None:
    (tiny / "tiny/coded.py").unlink()
    (tiny / "tiny/broken.py").write_text('"""Long."""\n' + "#" * 1_000)
    (tiny / "tiny/empty.py").write_bytes(b"")
    documents, read_errors = read("tiny-package", max_document_bytes=1_000)
    assert len(documents) == 7
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("tiny/broken.py", "too_long"),
        ("tiny/coded.py", "unreadable_file"),
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'"""One."""\n\0\n', None),
        (b'# coding: no-such\n"""One."""\n', None),
        (b'"""caf\xe9"""\n', None),
        (b"x = " + b"(" * 5_000, 1),
        (b"x = " + b"-" * 100_000 + b"1\n", None),
    ],
)
def test_what_this_python_cannot_read_is_one_read_error(tiny: Path, content: bytes, line: int | None) -> None:
    (tiny / "tiny/broken.py").write_bytes(content)
    _, read_errors = read("tiny-package")
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("tiny/broken.py", "unreadable_module"),
        ("tiny/empty.py", "empty_text"),
    ]
    assert line is None or read_errors[0].line == line


@pytest.mark.parametrize("name", ["ftfy", "ftfy.fixes", "ftfy.formatting", "ftfy.badness"])
def test_docstrings_of_a_real_package_are_those_python_shows(name: str) -> None:
    collected = {document.name: document.text for document in read("ftfy")[0]}
    module = importlib.import_module(name)
    functions = inspect.getmembers(module, lambda value: inspect.isfunction(value) and value.__module__ == name)
    assert functions
    assert collected[name] == inspect.getdoc(module)
    for _, function in functions:
        assert collected.get(f"{name}.{function.__qualname__}") == inspect.getdoc(function)


def test_the_standard_library_is_a_package() -> None:
    package = find_package("python", ())
    assert {"json/__init__.py", "json/decoder.py", "argparse.py"} <= set(package.modules)
    assert not any(path.startswith(("site-packages", "test/", "tkinter", "idlelib")) for path in package.modules)
    assert package.root == Path(sysconfig.get_path("stdlib"))
    assert list(package.modules) == sorted(package.modules)


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b/__init__.py", "a.b"), ("a/b.py", "a.b"), ("a.py", "a"), ("__init__.py", "__init__")],
)
def test_module_names(path: str, name: str) -> None:
    assert module_name(path) == name
