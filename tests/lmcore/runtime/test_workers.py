import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lmcore.runtime.workers import Workers


def double(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    time.sleep(0.02 if number % 3 == 0 else 0)
    return 2 * number


def process(_: int) -> int:
    return os.getpid()


def sleep(seconds: int) -> None:
    time.sleep(seconds)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_results_come_in_the_order_of_the_items(n_workers: int) -> None:
    with Workers(n_workers) as workers:
        assert list(workers.map(double, range(30))) == list(range(0, 60, 2))
        assert list(workers.map(double, [])) == []
        with pytest.raises(ValueError, match="-1 is negative"):
            list(workers.map(double, [1, -1, 2]))


def test_one_worker_is_this_process() -> None:
    with Workers(1) as workers:
        assert set(workers.map(process, range(3))) == {os.getpid()}


def test_items_are_taken_only_a_little_ahead() -> None:
    items = iter(range(1000))
    with Workers(2) as workers:
        results = workers.map(double, items)
        next(results)
        assert next(items) < 20


def test_no_process_remains() -> None:
    with Workers(2) as workers:
        assert os.getpid() not in set(workers.map(process, range(8)))
    assert multiprocessing.active_children() == []


def test_exit_handlers_of_workers_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were registered before the worker began, as coverage does, included."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, pathlib\n"
        f"atexit.register(lambda: pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.exit').touch())\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with Workers(2) as workers:
        pids = set(workers.map(process, range(8)))
    assert {f"{pid}.exit" for pid in pids} <= {file.name for file in tmp_path.glob("*.exit")}


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "from test_workers import Workers, sleep\n"
        "if __name__ == '__main__':\n"
        "    with Workers(2) as workers:\n"
        "        list(workers.map(sleep, [0, 60, 60]))\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": paths})
    workers = wait_for_workers(psutil.Process(parent.pid))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def wait_for_workers(parent: psutil.Process) -> list[psutil.Process]:
    for _ in range(600):
        workers = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
        if len(workers) == 2:
            time.sleep(1)
            return workers
        time.sleep(0.1)
    raise TimeoutError("the workers did not start")
