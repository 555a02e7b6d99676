"""Rewrites the pins of packages to the versions that are installed.  Run: ``python -m flows.runtime.pins``.

Each pin stays in its file: those in ``constraints/`` are dependencies of stages in ``dvc.yaml``. A package that is not
pinned yet is added to ``constraints.txt``, and the pin of one that is no longer installed is removed.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from flows.runtime.commands import check_arguments
from lmcore.errors import UserError
from lmcore.runtime.files import write_text

WHOLE, PARTS = "constraints.txt", "constraints"
NEVER_PINNED = frozenset({"lmcore", "pip"})
"""The project itself, and the packages that install packages."""


def update_pins(project: Path, installed: Mapping[str, str]) -> list[str]:
    """Rewrite ``constraints.txt`` and the files in ``constraints/``.

    Args:
        project: the folder that holds them.
        installed: the version of each installed package, by its name.

    Returns:
        What has changed, a line for each package, sorted.

    Raises:
        UserError: if nothing is installed, or there is no ``constraints.txt``.
    """
    versions = {normalized(name): version for name, version in installed.items()}
    new = {normalized(name): f"{name}=={version}" for name, version in installed.items()}
    for name in NEVER_PINNED:
        new.pop(name, None)
    whole = project / WHOLE
    if not new or not whole.is_file():
        raise UserError(f"{whole} cannot be updated: it is missing, or no package is installed in this environment")
    changes: list[str] = []
    updated = {}
    for file in [*sorted((project / PARTS).glob("*.txt")), whole]:
        lines = []
        for line in file.read_text(encoding="utf-8").splitlines():
            name, is_pin, old = line.partition("==")
            if not is_pin or line.startswith("#"):
                lines.append(line)
                continue
            version = versions.get(normalized(name))
            new.pop(normalized(name), None)
            if version is None:
                changes.append(f"{name} {old} is removed")
                continue
            if version != old:
                changes.append(f"{name} {old} becomes {version}")
            lines.append(f"{name}=={version}")
        updated[file] = lines
    changes += [f"{line.replace('==', ' ')} is added to {WHOLE}" for line in new.values()]
    updated[whole] = _sorted_pins([*updated[whole], *new.values()])
    for file, lines in updated.items():
        write_text(file, "\n".join(lines) + "\n")
    return sorted(changes, key=str.lower)


def normalized(name: str) -> str:
    """The name of a package in the form in which names are compared.

    Source: https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _sorted_pins(lines: Iterable[str]) -> list[str]:
    """Lines that are not pins, in their order, and then the pins by the names of their packages."""
    return sorted(lines, key=lambda line: normalized(line.partition("==")[0]) if "==" in line else "")


if __name__ == "__main__":
    check_arguments("flows.runtime.pins", "Pin the installed versions of all packages in the constraints.")
    found = {distribution.name: distribution.version for distribution in importlib.metadata.distributions()}
    changes = update_pins(Path.cwd(), found) or ["All pins are the installed versions."]
    sys.stdout.write("\n".join(changes) + "\n")
