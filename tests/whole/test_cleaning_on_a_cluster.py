"""Cleaning on a Dask cluster: a real scheduler, two real workers, one of them killed at work."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import folder_digest
from lmcore.runtime.workers import Workers
from lmcore.text.clean import clean
from tests.lmcore.text.cleaning_for_tests import DOCUMENT, FRACTIONS, UNLIMITED, write_raw

N_SHARDS = 60


class Cluster:
    """A scheduler and two workers with one thread each, on loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        scheduler_file = folder / "scheduler.json"
        self._processes = [self._start("dask_scheduler", "--port", "0", "--scheduler-file", str(scheduler_file))]
        self.workers = [
            self._start("dask_worker", "--scheduler-file", str(scheduler_file), "--nthreads", "1", "--no-nanny")
            for _ in range(2)
        ]
        self._processes += self.workers
        self.address = self._address(scheduler_file)

    def _start(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--host", "127.0.0.1", "--no-dashboard"]
        with (self._folder / f"{module}.log").open("ab") as log:
            return subprocess.Popen([*command, *arguments], stdout=log, stderr=log)

    def _address(self, scheduler_file: Path) -> str:
        from distributed import Client

        for _ in range(300):
            if scheduler_file.exists():
                with Client(scheduler_file=str(scheduler_file), timeout=30, set_as_default=False) as client:
                    client.wait_for_workers(2, timeout=60)
                    return str(client.scheduler.address)
            time.sleep(0.1)
        raise TimeoutError("the scheduler did not start")

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    documents = [replace(DOCUMENT, text=f"Some words: {number}, {number % 77}.") for number in range(N_SHARDS * 40)]
    write_raw(tmp_path / "raw", documents, per_shard=40)
    done = tmp_path / "elsewhere"

    def clean_elsewhere() -> None:
        with Workers(1, dask_address=cluster.address) as workers:
            clean(
                tmp_path / "raw",
                done,
                UNLIMITED,
                FRACTIONS,
                cache=ArtifactCache(tmp_path / "cache", ""),
                workers=workers,
            )

    thread = threading.Thread(target=clean_elsewhere)
    thread.start()
    cache = tmp_path / "cache"
    while thread.is_alive() and not (cache.is_dir() and len(list(cache.iterdir())) >= 10):
        time.sleep(0.01)
    cluster.workers[0].send_signal(signal.SIGKILL)
    assert not done.exists()
    thread.join()
    with Workers(1) as workers:
        clean(
            tmp_path / "raw",
            tmp_path / "here",
            UNLIMITED,
            FRACTIONS,
            cache=ArtifactCache(tmp_path / "own", ""),
            workers=workers,
        )
    assert folder_digest(done) == folder_digest(tmp_path / "here")


def test_no_scheduler_is_an_error_that_names_the_address() -> None:
    with pytest.raises(OSError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        Workers(1, dask_address="tcp://127.0.0.1:9")
