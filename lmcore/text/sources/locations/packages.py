"""Installed packages: where their modules are, and under which version and license."""

import csv
import importlib.metadata
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lmcore.config.collect import InstalledPackages
from lmcore.errors import UserError
from lmcore.text.documents.document import ReadError
from lmcore.text.sources.source_file import SourceFile

STANDARD_LIBRARY = "python"

# Parts of the standard library that some systems leave out or ship as packages of their own.
OPTIONAL_MODULES = frozenset({"ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "turtledemo"})


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package: its name, version without the mark of its build, license, folder and modules."""

    name: str
    version: str
    license: str | None
    root: Path
    modules: tuple[str, ...]


def find_modules(source: str, location: InstalledPackages) -> tuple[list[SourceFile], list[ReadError]]:
    """The modules of the packages, by package and path, named relative to the folder of packages.

    Returns:
        The modules, and a read error for each that a package says it installed and that is not there.

    Raises:
        ValueError: naming every package that is not installed or has no modules, and what to do.
    """
    packages = _find_packages(source, location)
    empty = [package.name for package in packages if not package.modules]
    if empty:
        raise UserError(
            f"source {source!r} names packages without Python modules of their own: {', '.join(empty)}; "
            "an editable installation is such a case: install it from a wheel, or take it off the list"
        )
    files, read_errors = [], []
    for package in packages:
        for module in package.modules:
            path = package.root / module
            try:
                size = path.stat().st_size
            except OSError as error:
                detail = error.strerror or type(error).__name__
                read_errors.append(ReadError(source, module, None, "unreadable_file", detail))
                continue
            files.append(SourceFile(module, path, size, package.name, package.version, package.license))
    return files, read_errors


def _find_packages(source: str, location: InstalledPackages) -> list[Package]:
    packages, missing = [], []
    for name in sorted(set(location.packages)):
        try:
            packages.append(find_package(name, location.skipped))
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise UserError(
            f"source {source!r} names packages that are not installed: {', '.join(missing)}; "
            f"install them with `pip install {' '.join(missing)}`, or take them off its list"
        )
    return packages


def find_package(name: str, skipped: tuple[str, ...]) -> Package:
    """Find an installed package and its modules, without importing it.

    Args:
        name: as on the package index; ``python`` is the standard library.
        skipped: patterns of the folder and file names that are left out.

    Raises:
        importlib.metadata.PackageNotFoundError: if it is not installed.
    """
    if name == STANDARD_LIBRARY:
        root = Path(sysconfig.get_path("stdlib"))
        return Package(name, platform.python_version(), "PSF-2.0", root, _kept(_standard_modules(root), skipped))
    distribution = importlib.metadata.distribution(name)
    # What the package says it installed, so that files which others left in its folders stay out.
    modules = (file for file in _recorded_files(distribution) if file.endswith(".py"))
    # "2.13.0+cpu" and "2.13.0" are builds of one release for different machines: the same documentation.
    version = distribution.version.split("+")[0]
    root = Path(str(distribution.locate_file("")))
    return Package(name, version, _license(distribution.metadata), root, _kept(modules, skipped))


def _recorded_files(distribution: importlib.metadata.Distribution) -> list[str]:
    """What was installed, whether it is still there or not: some releases of ``importlib`` leave out what is not."""
    if (record := distribution.read_text("RECORD")) is None:
        return [file.as_posix() for file in distribution.files or ()]
    return [row[0] for row in csv.reader(record.splitlines()) if row]


def _standard_modules(root: Path) -> list[str]:
    """Modules that Python's own list names: the same on every system, whatever else lies beside them."""
    modules = []
    for name in sys.stdlib_module_names - OPTIONAL_MODULES:
        if (root / f"{name}.py").is_file():
            modules.append(f"{name}.py")
        modules.extend(file.relative_to(root).as_posix() for file in (root / name).rglob("*.py"))
    return modules


def _kept(modules: Iterable[str], skipped: tuple[str, ...]) -> tuple[str, ...]:
    """The modules, sorted, without those that have a skipped name in their path or lie outside the packages."""

    def is_kept(path: str) -> bool:
        patterns = (*skipped, "..")
        return not any(fnmatchcase(part, pattern) for part in PurePosixPath(path).parts for pattern in patterns)

    return tuple(sorted(filter(is_kept, modules)))


def _license(metadata: importlib.metadata.PackageMetadata) -> str | None:
    """The license expression, else the field where it is a name and not a whole text, else the classifiers."""
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    if "License" in metadata and "\n" not in metadata["License"].strip():
        return metadata["License"].strip()
    classifiers = metadata.get_all("Classifier") or []
    licenses = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    return " AND ".join(licenses) or None
