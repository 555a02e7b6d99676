"""Adapts ``.venv`` to this folder after installation, or after the folder was moved or copied: ``make install``.

Run: ``.venv/bin/python -m flows.runtime.installation``.

Afterwards only the ``activate`` scripts, written by ``python -m venv``, contain the folder's path.
"""

import logging
import os
import sys
import sysconfig
from pathlib import Path

from flows.runtime.commands import check_arguments, run_command
from lmcore.runtime.files import write_text
from tasks.context.environment import Environment

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[2]
START = "lmcore-start.pth"
# Python reads this file at startup: a path, and a statement to run, whose failure must not keep Python from starting.
AT_START = (
    "import sys; exec('try:\\n from tasks.context.library_settings import set_defaults\\n set_defaults()\\n"
    'except Exception: pass\\nfor name in ("tasks", "tasks.context", "tasks.context.library_settings"): '
    "sys.modules.pop(name, None)')"
)
SCRIPT_OF_ANY_FOLDER = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""
MIGRATIONS = 'config.set_main_option("script_location", final_alembic_dir)'
MIGRATIONS_ESCAPED = 'config.set_main_option("script_location", final_alembic_dir.replace("%", "%%"))'
SHORT, LONG = b"#!", b"#!/bin/sh\n'''exec' "


def install() -> None:
    """Make the Python of ``.venv`` start with the project's settings, and its commands independent of its path."""
    packages = Path(sysconfig.get_path("purelib"))
    project = os.path.relpath(PROJECT, packages.resolve())
    write_text(packages / START, f"{project}\n{AT_START}\n")
    for script in Path(sysconfig.get_path("scripts")).iterdir():
        if script.is_file() and not script.is_symlink():
            _make_independent_of_folder(script)
    module = packages / "mlflow" / "store" / "db" / "utils.py"
    if "%" in str(packages) and module.exists():
        let_mlflow_migrate(module)
    _forget_index_folder(PROJECT / ".dvc" / "config.local")
    # DVC would make it writable for all users.
    (Environment().work_folder / "dvc").mkdir(mode=0o700, parents=True, exist_ok=True)


def _make_independent_of_folder(script: Path) -> None:
    """Make a command that pip installed use the Python next to it instead of an absolute path."""
    content = script.read_bytes()
    if content.startswith(LONG):  # for a long path, or one with spaces
        lines = 3
    elif content.startswith(SHORT) and b"python" in content.partition(b"\n")[0]:
        lines = 1
    else:
        return
    body = content.split(b"\n", lines)[lines]
    mode = script.stat().st_mode
    replacement = script.with_name(f".{script.name}.new")
    replacement.write_bytes(SCRIPT_OF_ANY_FOLDER + body)
    replacement.chmod(mode)
    replacement.replace(script)


def let_mlflow_migrate(module: Path) -> None:
    """MLflow passes its own folder to Alembic, whose configuration treats ``%`` as the start of a variable."""
    source = module.read_text(encoding="utf-8")
    escaped = source.replace(MIGRATIONS, MIGRATIONS_ESCAPED)
    if escaped != source:
        write_text(module, escaped)


def _forget_index_folder(config: Path) -> None:
    """Remove the absolute path of DVC's index that earlier releases wrote: in a copy it is that of the other folder."""
    if config.exists():
        lines = config.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
        kept = [line for line in lines if line.split("=")[0].strip() != "site_cache_dir"]
        if kept != lines:
            config.write_text("".join(kept), encoding="utf-8", errors="surrogateescape")


def main() -> None:
    """The command line."""
    check_arguments("flows.runtime.installation", "Fit .venv to the folder that it was moved or copied to.")
    if sys.prefix == sys.base_prefix:
        sys.exit("flows.runtime.installation changes the environment that it runs in: run it with .venv/bin/python")
    run_command("installation", install)


if __name__ == "__main__":
    main()
