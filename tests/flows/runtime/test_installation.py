"""The commands of an environment start the Python next to them, wherever its folder is, and every Python starts."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from flows.runtime import installation
from flows.runtime.installation import START, install, let_mlflow_migrate

BODY = "import sys\nprint('ran', sys.argv[1:])\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose environment has a Python and packages of its own."""
    folder = tmp_path / "it's my project"
    for part in ("bin", "lib"):
        (folder / ".venv" / part).mkdir(parents=True)
    (folder / ".dvc").mkdir()
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    paths = {"purelib": str(folder / ".venv" / "lib"), "scripts": str(folder / ".venv" / "bin")}
    monkeypatch.setattr(sysconfig, "get_path", paths.__getitem__)
    monkeypatch.setattr(installation, "PROJECT", folder)
    monkeypatch.setenv("LMCORE_WORK_FOLDER", str(folder / ".work"))
    return folder


def write_script(project: Path, name: str, content: str, mode: int = 0o755) -> Path:
    script = project / ".venv" / "bin" / name
    script.write_text(content)
    script.chmod(mode)
    return script


@pytest.mark.parametrize("head", ["#!{python}\n", "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"])
def test_a_command_runs_in_a_folder_that_was_moved_and_is_changed_once(head: str, project: Path) -> None:
    script = write_script(project, "tool", head.format(python=project / ".venv/bin/python3.11") + BODY, 0o750)
    install()
    content = script.read_bytes()
    install()
    assert script.read_bytes() == content
    assert script.stat().st_mode & 0o777 == 0o750
    moved = project.rename(project.with_name('another "place" ü'))
    link = moved.parent / "link"
    link.symlink_to(moved / ".venv" / "bin" / "tool")
    for command in (moved / ".venv" / "bin" / "tool", link):
        done = subprocess.run([command, "a b", "$HOME"], capture_output=True, text=True, check=True)
        assert done.stdout == "ran ['a b', '$HOME']\n"


def test_what_is_no_command_of_python_stays(project: Path) -> None:
    contents = {"activate": "# a script of the shell\n", "tool.sh": "#!/bin/sh\necho python\n", "binary": "\x7fELF"}
    for name, content in contents.items():
        write_script(project, name, content)
    install()
    assert {name: (project / ".venv/bin" / name).read_text() for name in contents} == contents
    assert (project / ".venv/bin/python").readlink() == Path(sys.executable)


def test_every_python_finds_the_project_and_starts_even_if_the_project_is_broken(project: Path) -> None:
    install()
    first, _ = (project / ".venv" / "lib" / START).read_text().splitlines()
    assert (project / ".venv" / "lib" / first).resolve() == project
    program = f"import site, sys; site.addsitedir({str(project / '.venv/lib')!r}); print('tasks' in sys.modules)"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for content in (None, "raise SystemError('broken')\n"):
        if content:
            (project / "tasks" / "context").mkdir(parents=True)
            (project / "tasks" / "context" / "library_settings.py").write_text(content)
        command = [sys.executable, "-I", "-S", "-c", program]
        done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("False\n", "")


def test_the_path_of_the_index_that_an_earlier_release_wrote_is_removed_and_other_settings_stay(project: Path) -> None:
    config = project / ".dvc" / "config.local"
    config.write_text("[core]\n    site_cache_dir = /old/folder\n    remote = mine\n")
    install()
    assert config.read_text() == "[core]\n    remote = mine\n"
    assert (project / ".work" / "dvc").stat().st_mode & 0o777 == 0o700


def test_mlflow_opens_its_store_in_a_folder_with_a_percent_sign(tmp_path: Path) -> None:
    installed = Path(sysconfig.get_path("purelib"), "mlflow", "store", "db", "utils.py")
    module = tmp_path / "utils.py"
    shutil.copy(installed, module)
    let_mlflow_migrate(module)
    let_mlflow_migrate(module)
    assert module.read_text().count('("script_location", final_alembic_dir.replace("%", "%%"))') == 1
