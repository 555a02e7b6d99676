"""How a training computes: in which precision, compiled or not, and in which order on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lmcore.config.training import TrainingConfig
from lmcore.models.device import native_bfloat16

# Compiling takes about a minute. An estimate: from when on it pays has not been measured on a GPU.
STEPS_THAT_PAY_FOR_COMPILING = 1_000


def compute_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype:
    """What activations are computed in: chosen, or decided by what the device can do."""
    if config.precision == "native":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


def is_compiled(config: TrainingConfig, n_steps: int, device: torch.device) -> bool:
    """Whether the loss is compiled. On a processor, where the kernels are written out by hand, only if it must be."""
    if config.torch_compile == "auto":
        return device.type == "cuda" and n_steps * config.gradient_accumulation_steps >= STEPS_THAT_PAY_FOR_COMPILING
    return config.torch_compile == "always"


@contextmanager
def kept_torch_settings(device: torch.device) -> Iterator[None]:
    """Leave the process's random numbers and its settings of torch as they were, whatever happens in between."""
    full_determinism = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    has_deterministic_kernels = torch.backends.cudnn.deterministic
    precision = torch.get_float32_matmul_precision()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(full_determinism, warn_only=warns_only)
            torch.backends.cudnn.deterministic = has_deterministic_kernels
            torch.set_float32_matmul_precision(precision)


def use_deterministic_algorithms(config: TrainingConfig, device: torch.device) -> None:
    """Let a GPU give the same bits each time, where that is asked for; a processor always does.

    Attention then also leaves its fastest kernels, whose backward pass adds up in the order of the threads.
    """
    if device.type == "cuda":
        torch.use_deterministic_algorithms(config.full_determinism)
        torch.backends.cudnn.deterministic = config.full_determinism
        # Sums of float32 products in the tensor cores: their inputs keep 10 bits, enough for what is left in float32.
        torch.set_float32_matmul_precision("high")
