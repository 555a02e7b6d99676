"""A stage ends soon after the process that started it, by force if it has to, and never while that process runs."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tasks.context.process import ProcessIdentity
from tests.sample_project import wait_until

PROJECT = Path(__file__).parents[3]
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STAGE = """
import signal, subprocess, sys, time
from flows.runtime import parent_watchdog
from tasks.context.process import ProcessIdentity

parent_watchdog.SECONDS_BETWEEN_CHECKS = 0.02
parent_watchdog.GRACE_SECONDS = 0.3
is_deaf, pid = sys.argv[1] == "deaf", int(sys.argv[2])
if is_deaf:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) if is_deaf else None
import psutil
parent_watchdog.stop_when_abandoned(ProcessIdentity.of(psutil.Process(pid)), is_started_by_dvc=False)
print(child.pid if child else 0, flush=True)
time.sleep(60)
"""
UNWATCHED = """
import threading
from flows.runtime.parent_watchdog import stop_when_abandoned

stop_when_abandoned(None, is_started_by_dvc=False)
print(threading.active_count())
"""


@pytest.mark.parametrize(("kind", "number"), [("plain", signal.SIGTERM), ("deaf", signal.SIGKILL)])
def test_a_stage_ends_with_the_pipeline_and_its_workers_with_it(kind: str, number: signal.Signals) -> None:
    pipeline = subprocess.Popen(SLEEP)
    command = [sys.executable, "-c", STAGE, kind, str(pipeline.pid)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stage:
        assert stage.stdout is not None
        child = int(stage.stdout.readline())
        assert stage.poll() is None
        pipeline.kill()
        pipeline.wait()
        assert stage.wait(30) == -number
    if child:
        worker = ProcessIdentity.of(psutil.Process(child)) if psutil.pid_exists(child) else None
        wait_until(lambda: worker is None or worker.is_gone(), 30)


def test_a_stage_that_a_person_started_is_not_watched() -> None:
    command = [sys.executable, "-c", UNWATCHED]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
