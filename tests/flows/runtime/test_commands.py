"""A user's mistake is a message, a defect is a traceback, and a signal is an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("body", "code", "shown"),
    [
        (
            "from lmcore.errors import UserError; raise UserError('width 7 is odd')",
            1,
            ["error: sample failed: width 7 is odd\n"],
        ),
        ("int('seven')", 1, ["error: sample failed unexpectedly:\n", "Traceback", "ValueError: invalid literal"]),
        ("raise KeyboardInterrupt", 130, ["error: sample was interrupted\n"]),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, ["error: sample was terminated\n"]),
        ("import os, signal; os.kill(os.getpid(), signal.SIGHUP)", 129, ["error: sample was terminated\n"]),
        ("pass", 0, []),
    ],
)
def test_a_command_ends_with_a_code_and_says_why(body: str, code: int, shown: list[str]) -> None:
    program = f"from flows.runtime.commands import run_command\ndef work():\n    {body}\nrun_command('sample', work)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == code
    assert all(text in done.stderr for text in shown)
    assert ("Traceback" in done.stderr) == ("Traceback" in shown)
    if code == 0:
        assert done.stderr == ""


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--fast"], 2)])
def test_a_command_without_arguments_answers_help_and_refuses_the_rest_before_it_does_anything(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "flows.refresh", *arguments]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code
    assert "usage: python -m flows.refresh [-h]" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_packages_says_which_environment_to_activate() -> None:
    command = [sys.executable, "-S", "-m", "flows.collect"]  # -S: without the packages that are installed
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "lacks the package" in done.stderr
    assert ". .venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_command_reads_its_arguments() -> None:
    sources = {file: file.read_text(encoding="utf-8") for file in sorted((PROJECT / "flows").rglob("*.py"))}
    commands = [file for file, source in sources.items() if '__name__ == "__main__"' in source]
    readers = ("ArgumentParser(", "check_arguments(", "run_stage(")
    assert [file.name for file in commands if not any(reader in sources[file] for reader in readers)] == []
    assert len(commands) > 15
