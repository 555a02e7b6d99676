"""Memory allocation tuned for training: a setting of the whole process, made explicitly and undone at the end."""

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of the parameters in malloc.h of the GNU C library, and its initial value for both thresholds.
MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3
INITIAL_THRESHOLD = 128 * 1024
GIBIBYTE = 1024**3


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let this process reuse the memory that it frees instead of returning it to the operating system.

    By default the GNU C library returns every large block at once and requests it again, page by page, for the next
    tensor: a quarter of the time of a training on a CPU. With another C library this does nothing.

    At the end the thresholds return to the library's initial values and unused memory to the operating system. The
    library's automatic adjustment of the thresholds cannot be restored: setting them once turns it off.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(MALLOC_MMAP_THRESHOLD, GIBIBYTE)
    library.mallopt(MALLOC_TRIM_THRESHOLD, 2 * GIBIBYTE - 1)
    try:
        yield
    finally:
        library.mallopt(MALLOC_MMAP_THRESHOLD, INITIAL_THRESHOLD)
        library.mallopt(MALLOC_TRIM_THRESHOLD, INITIAL_THRESHOLD)
        library.malloc_trim(0)


def return_freed_memory() -> None:
    """Collect garbage, and return freed memory to the operating system where that is possible."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
