"""A stage computes in a process that was started with the settings for it, whatever started the stage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.context.process_start import START_SETTINGS

PROJECT = Path(__file__).parents[3]
PYTHON_FIRST = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# What every Python of the tests does first: note the variables that its process was started with.
SPY = """
import json, os, sys
started_with = open("/proc/self/environ").read().split(chr(0))
with open("starts.jsonl", "a") as file:
    file.write(json.dumps([os.getpid(), sys.orig_argv[1:], started_with]) + chr(10))
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DVC project with one stage of the real pipeline, which ends at once: there are no parameters."""
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(SPY)
    (tmp_path / "dvc.yaml").write_text("stages:\n  pretrain:\n    cmd: python -m flows.collect\n    outs: [model]\n")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("")
    return tmp_path


def starts_of_stage(project: Path, *command: str, **variables: str) -> list[tuple[int, dict[str, str]]]:
    """The process id and the start settings of each start of the stage's Python while a command runs."""
    environment = {
        "PATH": PYTHON_FIRST,
        "HOME": str(project),
        "PYTHONPATH": os.pathsep.join([str(project / "spy"), str(PROJECT)]),
        **variables,
    }
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert "params.yaml" in done.stderr, done.stderr  # the stage has come to its parameters
    found = []
    for line in (project / "starts.jsonl").read_text().splitlines():
        pid, arguments, started_with = json.loads(line)
        if arguments == ["-m", "flows.collect"]:
            variables_at_start = dict(entry.split("=", 1) for entry in started_with if "=" in entry)
            found.append((pid, {name: variables_at_start.get(name, "-") for name in START_SETTINGS}))
    return found


@pytest.mark.parametrize("command", [("dvc", "repro"), ("flows.collect",)], ids=["dvc repro", "python -m flows.STAGE"])
def test_a_stage_restarts_once_with_the_settings_of_a_computing_process(
    command: tuple[str, ...], project: Path
) -> None:
    starts = starts_of_stage(project, sys.executable, "-m", *command)
    assert len({pid for pid, _ in starts}) == 1  # whoever waits for the process still does
    assert [settings for _, settings in starts] == [dict.fromkeys(START_SETTINGS, "-"), START_SETTINGS]


def test_a_stage_that_was_started_with_the_settings_does_not_restart(project: Path) -> None:
    starts = starts_of_stage(project, sys.executable, "-m", "flows.collect", **START_SETTINGS)
    assert [settings for _, settings in starts] == [START_SETTINGS]


def test_values_that_the_user_has_set_are_kept_also_empty_ones(project: Path) -> None:
    own = {"OMP_WAIT_POLICY": "ACTIVE", "GLIBC_TUNABLES": ""}
    *_, (_, settings) = starts_of_stage(project, sys.executable, "-m", "flows.collect", **own)
    assert settings == START_SETTINGS | own


def test_the_library_and_other_programs_are_left_alone(project: Path) -> None:
    program = "import lmcore, flows.collect, os; print(os.getpid())"
    environment = {"PATH": PYTHON_FIRST, "HOME": str(project), "PYTHONPATH": f"{project / 'spy'}:{PROJECT}"}
    subprocess.run([sys.executable, "-c", program], cwd=project, env=environment, check=True)
    assert len((project / "starts.jsonl").read_text().splitlines()) == 1
    program = "import lmcore, os; assert not {'GLIBC_TUNABLES', 'OMP_WAIT_POLICY'} & os.environ.keys()"
    subprocess.run([sys.executable, "-c", program], cwd=project, env=environment, check=True)
