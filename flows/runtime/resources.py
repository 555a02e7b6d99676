"""Measures the duration and the peak memory of a stage, including its worker processes."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_BETWEEN_SAMPLES = 0.5
STATUS = Path("/proc/self/status")


@dataclass
class Resources:
    """The resources used by a block of code; complete when :func:`measured` has ended."""

    seconds: float = 0.0
    peak_memory_bytes: int = 0


@contextmanager
def measured() -> Iterator[Resources]:
    """Measure this process, from its start, and its children until the block ends."""
    resources = Resources()
    ended = threading.Event()
    sampler = threading.Thread(target=_sample_memory, args=(resources, ended), name="memory-sampler", daemon=True)
    sampler.start()
    try:
        yield resources
    finally:
        ended.set()
        sampler.join()
        # The kernel also knows a peak of this process between two samples.
        resources.peak_memory_bytes = max(resources.peak_memory_bytes, _own_peak_bytes())
        resources.seconds = time.time() - psutil.Process().create_time()


def _sample_memory(resources: Resources, ended: threading.Event) -> None:
    process = psutil.Process()
    while not ended.wait(SECONDS_BETWEEN_SAMPLES):
        memory = sum(_resident_bytes(member) for member in (process, *process.children(recursive=True)))
        resources.peak_memory_bytes = max(resources.peak_memory_bytes, memory)


def _own_peak_bytes() -> int:
    """The peak memory of this process; 0 where the kernel does not report it."""
    if STATUS.exists():
        # Not getrusage: on Linux its maximum includes the memory of the parent process.
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if sys.platform == "darwin" else 0


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
