"""Facts about this machine and its peak rate, for the record of a run; no result depends on them."""

import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import psutil
import torch
from pydantic import Field

from lmcore.runtime.damaged_files import read_record
from lmcore.runtime.files import write_json

GIBIBYTE = 1024**3
MEASUREMENT_SECONDS = 0.4

# What decides how fast a CPU multiplies matrices; the rest of its instruction sets says little here.
MATRIX_INSTRUCTION_SETS = ("avx", "amx", "fma", "f16c", "neon", "sve", "sme", "bf16", "fp16", "i8mm", "dot")

CONTROL_GROUP_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
CONTROL_GROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def peak_matrix_rate(device: torch.device, dtype: torch.dtype, cache: Path) -> float:
    """The rate of this machine's matrix products in floating-point operations per second.

    Measured for about a second and cached in the JSON file ``cache`` by CPU or GPU, number of threads, dtype and torch
    version.
    """
    key = f"{_device_name(device)} · {torch.get_num_threads()} threads · {dtype} · torch {torch.__version__}"
    rates = _read_rates(cache)
    if key not in rates:
        # Read again: another process may have added its own rate during the measurement.
        rates = {key: _measure_matrix_rate(device, dtype), **_read_rates(cache)}
        write_json(cache, dict(sorted(rates.items())))
    return rates[key]


def machine_facts() -> dict[str, str]:
    """Facts about this machine by dotted name, all as text: ``machine.*`` and ``gpu.*``.

    ``gpu.count`` is the number of GPUs that this process can use (without those that ``CUDA_VISIBLE_DEVICES`` hides),
    "0" if there is none; each of them has ``gpu.<index>.*``.
    """
    capabilities = torch.cpu.get_capabilities()
    instruction_sets = sorted(
        name for name, is_there in capabilities.items() if is_there is True and name.startswith(MATRIX_INSTRUCTION_SETS)
    )
    return {
        "machine.processor": _cpu_name(),
        "machine.architecture": platform.machine(),
        "machine.cores": str(_usable_cores()),
        "machine.physical_cores": str(psutil.cpu_count(logical=False) or "unknown"),
        "machine.instruction_sets": " ".join(instruction_sets),
        "machine.memory_gib": _gibibytes(_usable_memory_bytes()),
        "machine.system": f"{platform.system()} {platform.release()}",
        "machine.python": platform.python_version(),
        "machine.torch": torch.__version__,
        "machine.torch_threads": str(torch.get_num_threads()),
        **_gpu_facts(),
    }


def _cpu_name() -> str:
    """The CPU's model name; on Linux the standard library knows only its architecture."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or str(torch.cpu.get_capabilities().get("cpu_name", "unknown"))


def _usable_cores() -> int:
    """Logical cores that this process may use, within the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else psutil.cpu_count() or 1
    if CONTROL_GROUP_CPU_LIMIT.exists():
        quota, period = CONTROL_GROUP_CPU_LIMIT.read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return cores


def _usable_memory_bytes() -> int:
    """The memory of the machine, or of the container if that allows less."""
    limits = [path.read_text(encoding="ascii").strip() for path in CONTROL_GROUP_MEMORY_LIMITS if path.exists()]
    return min(psutil.virtual_memory().total, *(int(limit) for limit in limits if limit != "max"), sys.maxsize)


def _gibibytes(n_bytes: float) -> str:
    return f"{n_bytes / GIBIBYTE:.1f}"


def _gpu_facts() -> dict[str, str]:
    """Facts about the GPUs of this process; a fact that the driver does not report is given as unknown."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    facts = {"gpu.count": str(count)}
    if count == 0:
        return facts
    properties = [torch.cuda.get_device_properties(index) for index in range(count)]
    facts["gpu.name"] = ", ".join(sorted({device.name for device in properties}))
    facts["gpu.cuda"] = str(torch.version.cuda)
    for index, device in enumerate(properties):
        facts[f"gpu.{index}.name"] = device.name
        facts[f"gpu.{index}.memory_gib"] = _gibibytes(device.total_memory)
        facts[f"gpu.{index}.compute_capability"] = f"{device.major}.{device.minor}"
    # By UUID: the driver numbers all GPUs of the machine, torch only those visible to this process.
    return facts | _driver_facts([f"GPU-{device.uuid}" for device in properties])


def _driver_facts(uuids: list[str]) -> dict[str, str]:
    """What the NVIDIA driver reports about the GPUs with these UUIDs, in torch's order."""
    import pynvml  # type: ignore[import-untyped]

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"gpu.driver": f"unknown ({error})"}
    try:
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        facts = {
            "gpu.driver": str(pynvml.nvmlSystemGetDriverVersion()),
            "gpu.driver_cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
        }
        for index, uuid in enumerate(uuids):
            facts[f"gpu.{index}.power_limit_watts"] = _power_limit(uuid)
        return facts
    finally:
        pynvml.nvmlShutdown()


def _power_limit(uuid: str) -> str:
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return f"{pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000:.0f}"
    except pynvml.NVMLError as error:
        # A slice of a GPU (MIG) has no power limit of its own, and some drivers do not report one.
        return f"unknown ({error})"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()


def _read_rates(cache: Path) -> Mapping[str, float]:
    return read_record(cache, dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]) or {}


def _measure_matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """The fastest of many square products: other load on the machine can only make one slower."""
    is_gpu = device.type == "cuda"
    # Which size is fastest depends on the caches and the instruction set, so several are tried.
    sizes, products_per_round = ((4096, 8192), 10) if is_gpu else ((1024, 2048), 1)
    return max(_matrix_rate_at(size, products_per_round, device, dtype) for size in sizes)


def _matrix_rate_at(size: int, products_per_round: int, device: torch.device, dtype: torch.dtype) -> float:
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    torch.mm(left, right)  # the first product also selects and loads the kernel
    best_seconds = math.inf
    end = time.perf_counter() + MEASUREMENT_SECONDS
    while best_seconds == math.inf or time.perf_counter() < end:
        _wait_for(device)
        start = time.perf_counter()
        for _ in range(products_per_round):
            torch.mm(left, right)
        _wait_for(device)
        best_seconds = min(best_seconds, (time.perf_counter() - start) / products_per_round)
    return 2 * size**3 / best_seconds


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
