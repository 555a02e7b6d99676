"""The environment follows its folder, and every Python of it finds the folder's servers and writes nowhere else."""

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.sample_project import PROJECT

# Folders that a person may have.
NAMES = ["plain", "sp ace ü#1", "100%20 'quoted' & more"]
SETTINGS = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME", "MPLCONFIGDIR", "MLFLOW_DISABLE_TELEMETRY")


def make_project(folder: Path) -> Path:
    """A copy of the project's code with a `.venv` of its own, in which this environment's packages are."""
    for part in ("flows", "tasks", "lmcore"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in (".dvc/config", "deploy/work-pool.json", "dvc.yaml", "params.yaml", "prefect.yaml", "pyproject.toml"):
        (folder / part).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / part, folder / part)
    venv.create(folder / ".venv", with_pip=False, symlinks=True)
    packages = next((folder / ".venv" / "lib").glob("python*/site-packages"))
    (packages / "these.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in ("dvc", "mlflow", "prefect"):
        script = Path(sysconfig.get_path("scripts"), name).read_text().splitlines(keepends=True)
        command = folder / ".venv" / "bin" / name
        body = "".join(line for line in script if not line.startswith(("#!", "'''", "' '''")))
        command.write_text(f"#!{folder}/.venv/bin/python\n{body}")
        command.chmod(0o755)
    return folder


def install(project: Path, **variables: str) -> None:
    run(project, ".venv/bin/python", "-m", "flows.runtime.installation", **variables)


def run(project: Path, *command: str, **variables: str) -> str:
    """What a command prints in a shell in which nothing is set."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings(project: Path, **variables: str) -> dict[str, str | None]:
    program = f"import json, os; print(json.dumps({{name: os.environ.get(name) for name in {SETTINGS}}}))"
    found: dict[str, str | None] = json.loads(run(project, ".venv/bin/python", "-c", program, **variables))
    return found


@pytest.fixture(scope="module", params=NAMES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("install") / request.param)
    # As it may be on a server: no language set, nobody else may read.
    install(folder, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    return folder


def test_every_python_of_the_environment_keeps_libraries_in_its_folder(project: Path) -> None:
    found = settings(project)
    assert found["PREFECT_HOME"] == str(project / ".work" / "prefect")
    assert found["MPLCONFIGDIR"] == str(project / ".work" / "matplotlib")
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{project}/.work/mlflow/mlflow.db"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["PREFECT_API_URL"] is None
    assert settings(project, MLFLOW_TRACKING_URI="http://mine")["MLFLOW_TRACKING_URI"] == "http://mine"
    assert (project / ".work" / "dvc").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_moved_or_copied_keeps_its_commands_and_leaves_the_other_one_alone(project: Path) -> None:
    copy = project.parent / "a copy" / "of it"
    shutil.copytree(project, copy, symlinks=True)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    program = "import sys, flows, lmcore; print(sys.prefix, flows.__file__, lmcore.__file__)"
    found = run(copy, "/bin/sh", "-c", f"cd / && '{copy}/.venv/bin/python' -c '{program}'").split(" /")
    assert all(place.lstrip("/").startswith(str(copy).lstrip("/")) for place in found)
    assert settings(copy)["PREFECT_HOME"] == str(copy / ".work" / "prefect")
    run(copy, "git", "init", "--quiet")
    status = run(copy, ".venv/bin/dvc", "doctor")
    assert str(copy / ".work" / "dvc") in status
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_a_user_who_changed_a_setting_keeps_it_in_the_projects_own_processes(project: Path) -> None:
    program = (
        "import os, subprocess, sys\nos.environ['HF_HOME'] = '/mine'\n"
        "subprocess.run([sys.executable, '-c', 'import flows, os; print(os.environ[\"HF_HOME\"], "
        'os.environ.get("MLFLOW_TRACKING_URI"))\'])'
    )
    assert run(project, ".venv/bin/python", "-c", program).split() == ["/mine", "None"]


PYTHON_SNIPPET = """
import mlflow
with mlflow.start_run() as run:
    mlflow.log_text("hello", "note.txt")
print(mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
"""


def test_commands_of_mlflow_and_prefect_find_the_servers_on_their_ports_and_write_nothing_elsewhere(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / NAMES[1])
    install(project)
    with socket.socket() as first, socket.socket() as second:
        for holder in (first, second):
            holder.bind(("127.0.0.1", 0))
            holder.listen()
        ports = {"LMCORE_MLFLOW_PORT": first.getsockname()[1], "LMCORE_PREFECT_PORT": second.getsockname()[1]}
        run(
            project,
            ".venv/bin/python",
            "-m",
            "flows.runtime.servers",
            "up",
            **{name: str(ports[name]) for name in ports},
        )
    try:
        address = str(settings(project)["PREFECT_API_URL"]).removesuffix("/api")
        assert not address.endswith(str(ports["LMCORE_PREFECT_PORT"]))
        template = ("--base-job-template", "deploy/work-pool.json")
        pool = run(project, ".venv/bin/prefect", "work-pool", "create", "lmcore", "--type", "process", *template)
        assert address in pool
        assert address in run(project, ".venv/bin/prefect", "--no-prompt", "deploy", "--all")
        assert "pipeline/nightly" in run(project, ".venv/bin/prefect", "deployment", "ls")
        assert "hello" in run(project, ".venv/bin/python", "-c", PYTHON_SNIPPET)
        assert "Default" in run(project, ".venv/bin/mlflow", "experiments", "search")
    finally:
        run(project, ".venv/bin/python", "-m", "flows.runtime.servers", "down")
    assert list((tmp_path / "home").rglob("*")) == []
    assert {path.name for path in project.iterdir()} & {"mlflow.db", "mlruns", "prefect.db"} == set()
