"""How long a stage took and how much memory it needed at most, its worker processes included."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

SECONDS_BETWEEN_SAMPLES = 0.5
# The kernel counts a process's peak in kibibytes on Linux, in bytes on macOS.
PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass
class Resources:
    """What a piece of work used; complete once :func:`measured` has ended."""

    seconds: float = 0.0
    peak_memory_bytes: int = 0


@contextmanager
def measured() -> Iterator[Resources]:
    """Measure this process, from its start, and its children until the block ends."""
    resources = Resources()
    ended = threading.Event()
    sampler = threading.Thread(target=_sample, args=(resources, ended), name="memory-sampler", daemon=True)
    sampler.start()
    try:
        yield resources
    finally:
        ended.set()
        sampler.join()
        # A peak between two samples is still seen by the kernel, for one process at a time.
        kernel = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        resources.peak_memory_bytes = max(resources.peak_memory_bytes, *(peak * PEAK_UNIT_BYTES for peak in kernel))
        resources.seconds = time.time() - psutil.Process().create_time()


def _sample(resources: Resources, ended: threading.Event) -> None:
    process = psutil.Process()
    while not ended.wait(SECONDS_BETWEEN_SAMPLES):
        memory = sum(_resident_bytes(member) for member in (process, *process.children(recursive=True)))
        resources.peak_memory_bytes = max(resources.peak_memory_bytes, memory)


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
