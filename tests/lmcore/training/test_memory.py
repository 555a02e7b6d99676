"""Keeping freed memory is a setting of the process that ends with its context."""

import platform

import psutil
import pytest
import torch

from lmcore.training.memory import keep_freed_memory

MEBIBYTES = 200


def resident_mebibytes() -> float:
    return psutil.Process().memory_info().rss / 2**20


def allocate_and_free() -> None:
    torch.ones(MEBIBYTES, 2**18)  # float32


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of the GNU C library")
def test_freed_memory_is_kept_within_the_context_and_returned_at_its_end() -> None:
    before = resident_mebibytes()
    with keep_freed_memory():
        allocate_and_free()
        assert resident_mebibytes() - before > 0.9 * MEBIBYTES
    assert resident_mebibytes() - before < 0.1 * MEBIBYTES
    allocate_and_free()
    assert resident_mebibytes() - before < 0.1 * MEBIBYTES
