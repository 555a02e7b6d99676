"""The device to compute on, and whether it supports bfloat16 natively."""

import torch


def pick_device() -> torch.device:
    """The device to compute on: the first visible GPU if there is one, otherwise the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def native_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` has instructions for bfloat16 matrix products.

    Decided by capability (AVX512-BF16 or AMX on a CPU, compute capability 8.0 on a GPU), never by timing, which could
    decide differently on the next run. Emulated bfloat16 is far slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
