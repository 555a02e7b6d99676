import sys
from pathlib import Path

import pytest
import torch

from lmcore.models.device import native_bfloat16, pick_device


def test_the_device_is_a_gpu_exactly_where_torch_can_use_one():
    assert (pick_device().type == "cuda") == torch.cuda.is_available()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's list of processor features")
def test_bfloat16_on_the_processor_follows_its_instruction_sets():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    assert native_bfloat16(torch.device("cpu")) == ("avx512_bf16" in flags or "amx_bf16" in flags)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_bfloat16_on_a_gpu_follows_its_generation():
    assert native_bfloat16(pick_device()) == torch.cuda.is_bf16_supported(including_emulation=False)
