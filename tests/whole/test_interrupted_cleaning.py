"""Cleaning that is killed, and started again."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import folder_digest
from lmcore.runtime.workers import Workers
from lmcore.text.clean import clean
from tests.lmcore.text.cleaning_for_tests import DOCUMENT, FRACTIONS, UNLIMITED, write_raw

PROJECT = Path(__file__).parents[2]
PROGRAM = """
from pathlib import Path
from tests.whole.test_interrupted_cleaning import run
if __name__ == "__main__":
    run(Path("."), n_workers=2)
"""
N_KILLS = 4


def run(folder: Path, *, n_workers: int) -> dict[str, int]:
    with Workers(n_workers) as workers:
        return clean(
            folder / "raw",
            folder / "clean",
            UNLIMITED,
            FRACTIONS,
            cache=ArtifactCache(folder / "cache", ""),
            workers=workers,
        )


def write_documents(folder: Path) -> None:
    texts = [f"Some words: {number}, {number % 577}." for number in range(1_200)]
    write_raw(folder / "raw", [replace(DOCUMENT, text=text) for text in texts], per_shard=20)


def test_killed_again_and_again_it_ends_with_the_same_bytes_and_does_nothing_twice(tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for folder in (killed, undisturbed):
        write_documents(folder)
    n_done = 0
    for _ in range(N_KILLS):
        command = [sys.executable, "-c", PROGRAM]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        process = subprocess.Popen(command, cwd=killed, env=environment, start_new_session=True)
        while len(finished(killed)) <= n_done + 8 and process.poll() is None:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        n_done = len(finished(killed))
        assert not (killed / "clean").exists()
    before = {entry: entry.stat().st_mtime_ns for entry in finished(killed)}
    summary = run(killed, n_workers=1)
    assert summary["kept"] + summary["dropped"] == summary["input"] == 1_200
    assert {entry: entry.stat().st_mtime_ns for entry in before} == before
    run(undisturbed, n_workers=1)
    assert folder_digest(killed / "clean") == folder_digest(undisturbed / "clean")
    assert [entry.name for entry in (killed / "cache").iterdir() if entry.name.startswith(".")] == []


def finished(folder: Path) -> list[Path]:
    """Complete entries of the cache."""
    cache = folder / "cache"
    return [entry for entry in cache.iterdir() if not entry.name.startswith(".")] if cache.is_dir() else []
