"""The precision, compilation and determinism of a training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lmcore.config.training import TrainingConfig
from lmcore.models.device import native_bfloat16

# Compiling takes about a minute. This threshold is an estimate; it has not been measured on a GPU.
MIN_BATCHES_TO_COMPILE = 1_000


def compute_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype:
    """The dtype of the activations: as configured, or the fastest that the device supports natively."""
    if config.precision == "native":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


def is_compiled(config: TrainingConfig, n_steps: int, device: torch.device) -> bool:
    """Whether the loss is compiled. ``auto`` never compiles on a CPU, where the models have hand-written kernels."""
    if config.torch_compile == "auto":
        return device.type == "cuda" and n_steps * config.gradient_accumulation_steps >= MIN_BATCHES_TO_COMPILE
    return config.torch_compile == "always"


@contextmanager
def training_torch_settings(config: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Apply a training's determinism and precision to torch; restore torch's settings and random state at the end.

    On a GPU, ``full_determinism`` selects algorithms that give the same bits each time (attention then avoids its
    fastest kernels, whose backward pass adds up in the order of the threads), and float32 matrix products may run on
    the tensor cores. A CPU is always deterministic, so nothing changes there.
    """
    full_determinism = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    has_deterministic_kernels = torch.backends.cudnn.deterministic
    precision = torch.get_float32_matmul_precision()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            if device.type == "cuda":
                torch.use_deterministic_algorithms(config.full_determinism)
                torch.backends.cudnn.deterministic = config.full_determinism
                # The inputs of float32 products keep 10 bits, enough for what is not computed in bfloat16 anyway.
                torch.set_float32_matmul_precision("high")
            yield
        finally:
            torch.use_deterministic_algorithms(full_determinism, warn_only=warns_only)
            torch.backends.cudnn.deterministic = has_deterministic_kernels
            torch.set_float32_matmul_precision(precision)
