"""A stage's memory is that of its process and of its workers together, its time starts with the process."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
MEBIBYTE = 2**20

PROGRAM = """
import subprocess, sys, time
from flows.runtime.resources import measured

with measured() as resources:
    hold = "held = bytearray(150 * 2**20); import time; time.sleep(1.5)"
    workers = [subprocess.Popen([sys.executable, "-c", hold]) for _ in range(2)]
    for worker in workers:
        worker.wait()
print(resources.peak_memory_bytes, resources.seconds)
"""


def test_workers_memory_is_added_up_and_the_time_counts_from_the_start_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=PROJECT, capture_output=True, text=True, check=True)
    memory, seconds = done.stdout.split()
    assert 300 * MEBIBYTE < int(memory) < 600 * MEBIBYTE
    assert 1.5 < float(seconds) < 60
