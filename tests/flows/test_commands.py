"""A user's mistake is a message, a defect is a traceback, and a signal is an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands import explains_itself
from lmcore.files import file_digest

PROJECT = Path(__file__).parents[2]


def raised_by(program: str, name: str) -> Exception:
    """The error of a program that runs as a module of that name."""
    try:
        exec(compile(program, name, "exec"), {"__name__": name})
    except Exception as error:
        return error
    raise AssertionError(f"{program} raised nothing")


@pytest.mark.parametrize(
    ("program", "is_for_the_user"),
    [
        ("raise ValueError('params.yaml: width 7 is odd')", True),
        ("raise RuntimeError('no server')", True),
        ("open('/missing')", True),
        ("int('seven')", False),
        ("{}['key']", False),
        ("import json; json.loads('{')", False),
        ("raise AssertionError('never')", False),
    ],
)
def test_an_error_explains_itself_where_the_project_raised_it_or_a_file_is_missing(
    program: str, is_for_the_user: bool
) -> None:
    assert explains_itself(raised_by(program, "lmcore.example")) is is_for_the_user


def test_an_error_that_a_library_raised_does_not_explain_itself() -> None:
    assert not explains_itself(raised_by("raise ValueError('shapes (3,) and (4,)')", "numpy.linalg"))


def test_a_missing_file_met_in_the_project_explains_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        file_digest(tmp_path / "missing")
    assert explains_itself(caught.value)


@pytest.mark.parametrize(
    ("body", "code", "shown"),
    [
        ("raise ValueError('width 7 is odd')", 1, ["error: sample failed: width 7 is odd\n"]),
        ("int('seven')", 1, ["error: sample failed unexpectedly:\n", "Traceback", "ValueError: invalid literal"]),
        ("raise KeyboardInterrupt", 130, ["error: sample was interrupted\n"]),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, ["error: sample was terminated\n"]),
        ("import os, signal; os.kill(os.getpid(), signal.SIGHUP)", 129, ["error: sample was terminated\n"]),
        ("pass", 0, []),
    ],
)
def test_a_command_ends_with_a_code_and_says_why(body: str, code: int, shown: list[str]) -> None:
    program = f"from flows.commands import run_command\ndef work():\n    {body}\nrun_command('sample', work)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == code
    assert all(text in done.stderr for text in shown)
    assert ("Traceback" in done.stderr) == ("Traceback" in shown)
    if code == 0:
        assert done.stderr == ""
