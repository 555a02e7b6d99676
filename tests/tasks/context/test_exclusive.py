"""A lock is held by one at a time, and whoever waits says so once."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.context.exclusive import exclusive

PROJECT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from tasks.context.exclusive import exclusive

with exclusive(Path(sys.argv[1]), "waiting"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_waits_until_the_first_is_done_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, events = tmp_path / "locks" / "lock", []
    is_waiting = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: is_waiting.set()  # type: ignore[method-assign]
    logger = logging.getLogger("tasks.context.exclusive")

    def work() -> None:
        with exclusive(path, "waiting for the other one"):
            events.append("second")

    with caplog.at_level(logging.INFO):
        logger.addHandler(handler)
        with exclusive(path, "nobody to wait for"):
            second = threading.Thread(target=work)
            second.start()
            assert is_waiting.wait(30)
            second.join(0.1)  # as long as one without a lock would need
            events.append("first")
        second.join(30)
        logger.removeHandler(handler)
    assert events == ["first", "second"]
    assert caplog.messages == ["waiting for the other one"]


def test_an_error_releases_the_lock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), exclusive(tmp_path / "lock", "waiting"):
        raise KeyError("no")
    with caplog.at_level(logging.INFO), exclusive(tmp_path / "lock", "waiting"):
        assert caplog.messages == []


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait()
        with caplog.at_level(logging.INFO), exclusive(tmp_path / "lock", "waiting"):
            assert caplog.messages == []
