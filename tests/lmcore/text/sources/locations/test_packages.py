import sysconfig
from pathlib import Path

import pytest

from lmcore.config.collect import Source
from lmcore.config.locations import InstalledPackages
from lmcore.config.readers import Docstrings
from lmcore.text.sources.locations.locate import Located, locate
from lmcore.text.sources.locations.packages import find_package

SKIPPED = ("tests", "test_*.py")
METADATA = "Metadata-Version: 2.4\nName: {name}\nVersion: 1.2+cpu\nLicense-Expression: MIT\n"


def install(folder: Path, name: str, *files: str, missing: tuple[str, ...] = ()) -> None:
    """A package as a wheel would leave it."""
    record = "".join(f"{file},,\n" for file in (*files, *missing, "../../../bin/script.py"))
    about = f"{name.replace('-', '_')}-1.2.dist-info"
    texts = dict.fromkeys(files, '"""Text."""\n')
    texts |= {f"{about}/METADATA": METADATA.format(name=name), f"{about}/RECORD": record}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = ("tiny/__init__.py", "tiny/b.py", "tiny/data.json", "tiny/tests/test_it.py", "tiny/test_more.py")
    install(tmp_path, "tiny-package", *files, missing=("tiny/gone.py",))
    (tmp_path / "tiny/left_by_someone_else.py").write_text('"""Not ours."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def find(*packages: str) -> Located:
    source = Source(
        name="docs",
        location=InstalledPackages(kind="installed_packages", packages=packages, skipped=SKIPPED),
        reader=Docstrings(kind="docstrings"),
        split=None,
        weight=1.0,
        license=None,
        attribution=None,
    )
    return locate(source, Path("unused"))


def test_the_files_are_the_packages_own_modules_with_what_is_known_of_the_package(tiny: Path) -> None:
    located = find("tiny-package")
    assert [(file.name, file.path, file.size) for file in located.files] == [
        ("tiny/__init__.py", tiny / "tiny/__init__.py", 12),
        ("tiny/b.py", tiny / "tiny/b.py", 12),
    ]
    assert {(file.package, file.version, file.license) for file in located.files} == {("tiny-package", "1.2", "MIT")}


def test_a_module_that_is_not_there_is_a_read_error(tiny: Path) -> None:
    read_errors = find("tiny-package").read_errors
    assert [(read_error.source, read_error.path, read_error.reason) for read_error in read_errors] == [
        ("docs", "tiny/gone.py", "unreadable_file")
    ]


def test_missing_packages_are_named_with_the_command_to_install_them() -> None:
    message = r"source 'docs' .*: no-such-one, no-such-two; .*`pip install no-such-one no-such-two`"
    with pytest.raises(ValueError, match=message):
        find("no-such-two", "ftfy", "no-such-one")


def test_packages_without_modules_are_named(tiny: Path) -> None:
    install(tiny, "hollow", "hollow/data.json")
    with pytest.raises(ValueError, match=r"source 'docs' .* without Python modules of their own: hollow; an editable"):
        find("tiny-package", "hollow")


def test_files_of_several_packages_are_sorted_by_name(tiny: Path) -> None:
    install(tiny, "another", "zebra.py", "apple.py")
    located = find("another", "tiny-package", "another")
    assert [(file.name, file.package) for file in located.files] == [
        ("apple.py", "another"),
        ("tiny/__init__.py", "tiny-package"),
        ("tiny/b.py", "tiny-package"),
        ("zebra.py", "another"),
    ]


def test_every_file_of_real_packages_is_there() -> None:
    located = find("rich", "ftfy", "python")
    assert located.read_errors == ()
    assert {file.package for file in located.files} == {"rich", "ftfy", "python"}
    for file in located.files:
        assert file.path.stat().st_size == file.size
        assert file.path.as_posix().endswith(f"/{file.name}")


def test_the_standard_library_is_a_package() -> None:
    package = find_package("python", ())
    assert {"json/__init__.py", "json/decoder.py", "argparse.py"} <= set(package.modules)
    assert not any(path.startswith(("site-packages", "test/", "tkinter", "idlelib")) for path in package.modules)
    assert package.root == Path(sysconfig.get_path("stdlib"))
    assert list(package.modules) == sorted(package.modules)
