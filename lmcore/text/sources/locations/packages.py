"""Modules of installed packages, with the version and the license of the package."""

import csv
import importlib.metadata
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lmcore.config.locations import InstalledPackages
from lmcore.errors import UserError
from lmcore.text.documents.document import ReadError
from lmcore.text.sources.source_file import SourceFile

STANDARD_LIBRARY = "python"

# Parts of the standard library that some systems leave out or ship as separate packages.
OPTIONAL_MODULES = frozenset({"ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "turtledemo"})


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package: its name, version without the build tag, license, folder and modules."""

    name: str
    version: str
    license: str | None
    root: Path
    modules: tuple[str, ...]


def find_modules(source: str, location: InstalledPackages) -> tuple[list[SourceFile], list[ReadError]]:
    """Find the modules of packages, sorted by package and path, named relative to ``site-packages``.

    Returns:
        The modules, and a read error for each module that a package has installed and that is missing.

    Raises:
        UserError: if packages are not installed or have no modules; the message names each of them.
    """
    packages = _find_packages(source, location)
    empty = [package.name for package in packages if not package.modules]
    if empty:
        raise UserError(
            f"source {source!r} names packages without Python modules of their own: {', '.join(empty)}; "
            "an editable installation has none; install it from a wheel, or remove it from the list"
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
            f"install them with `pip install {' '.join(missing)}`, or remove them from its list"
        )
    return packages


def find_package(name: str, skipped: tuple[str, ...]) -> Package:
    """Find an installed package and its modules, without importing it.

    Args:
        name: the name on the package index; ``python`` stands for the standard library.
        skipped: patterns of names of folders and files to leave out.

    Raises:
        importlib.metadata.PackageNotFoundError: if the package is not installed.
    """
    if name == STANDARD_LIBRARY:
        root = Path(sysconfig.get_path("stdlib"))
        return Package(name, platform.python_version(), "PSF-2.0", root, _kept(_standard_modules(root), skipped))
    distribution = importlib.metadata.distribution(name)
    # Only files that the package itself has installed: others may have left files in its folders.
    modules = (file for file in _recorded_files(distribution) if file.endswith(".py"))
    # "2.13.0+cpu" and "2.13.0" are builds of one release for different machines: the same documentation.
    version = distribution.version.split("+")[0]
    root = Path(str(distribution.locate_file("")))
    return Package(name, version, _license(distribution.metadata), root, _kept(modules, skipped))


def _recorded_files(distribution: importlib.metadata.Distribution) -> list[str]:
    """All installed files, including missing ones, which some releases of ``importlib.metadata`` leave out."""
    if (record := distribution.read_text("RECORD")) is None:
        return [file.as_posix() for file in distribution.files or ()]
    return [row[0] for row in csv.reader(record.splitlines()) if row]


def _standard_modules(root: Path) -> list[str]:
    """The modules of ``sys.stdlib_module_names``, which is the same on every system."""
    modules = []
    for name in sys.stdlib_module_names - OPTIONAL_MODULES:
        if (root / f"{name}.py").is_file():
            modules.append(f"{name}.py")
        modules.extend(file.relative_to(root).as_posix() for file in (root / name).rglob("*.py"))
    return modules


def _kept(modules: Iterable[str], skipped: tuple[str, ...]) -> tuple[str, ...]:
    """The modules, sorted, without those outside the folder of packages or with a skipped name in their path."""

    def is_kept(path: str) -> bool:
        patterns = (*skipped, "..")
        return not any(fnmatchcase(part, pattern) for part in PurePosixPath(path).parts for pattern in patterns)

    return tuple(sorted(filter(is_kept, modules)))


def _license(metadata: importlib.metadata.PackageMetadata) -> str | None:
    """The license expression, else the field ``License`` if it is a single line, else the license classifiers."""
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    if "License" in metadata and "\n" not in metadata["License"].strip():
        return metadata["License"].strip()
    classifiers = metadata.get_all("Classifier") or []
    licenses = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    return " AND ".join(licenses) or None
