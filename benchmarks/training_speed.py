"""Training speed and memory, against the GPT-2 class of Hugging Face in the same size."""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.models import OurTraining, TheirTraining, our_gpt, their_gpt2
from benchmarks.worker import PROCESS_SETTINGS, Action
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.training.memory import keep_freed_memory
from tasks.context.machine import peak_matrix_rate
from tasks.context.process_start import START_SETTINGS

SHAPE = {
    "num_hidden_layers": 6,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "vocabulary_size": 8192,
    "max_position_embeddings": 256,
}
BATCH, LENGTH = 16, 256
DOCUMENT_TOKENS = 60
"""Mean length of the documents of packed sequences."""
N_ROUNDS = 15


def our_step(dtype: torch.dtype, *, with_documents: bool = False) -> Action:
    """A training step of this project's GPT, on one text per sequence or on many short documents."""
    PROCESS_SETTINGS.enter_context(keep_freed_memory())
    training, tokens = OurTraining(our_gpt(**SHAPE), dtype), draw()
    is_start = torch.rand(BATCH, LENGTH) < 1 / DOCUMENT_TOKENS
    document_ids = is_start.cumsum(dim=1) if with_documents else None
    return partial(training.step, tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), document_ids=document_ids)


def their_step(dtype: torch.dtype) -> Action:
    """A training step of Hugging Face's GPT-2."""
    return partial(TheirTraining(their_gpt2(**SHAPE), dtype).step, draw()[:, :-1].contiguous())


def draw() -> Tensor:
    """Random tokens."""
    return torch.randint(SHAPE["vocabulary_size"], (BATCH, LENGTH + 1))


def chosen_dtype() -> torch.dtype:
    """The data type in which this project trains on this machine."""
    return torch.bfloat16 if native_bfloat16(pick_device()) else torch.float32


def speed() -> list[Line]:
    """Three lines: against its default precision, against its bfloat16, and the utilization of the hardware."""
    dtype, lines, best = chosen_dtype(), [], float("inf")
    for name, other, target in (("fp32", torch.float32, 3.0), ("bf16 autocast", torch.bfloat16, 1.5)):
        mine, others = seconds_in_turn(partial(our_step, dtype), partial(their_step, other), n_rounds=N_ROUNDS)
        best = min(best, *mine)
        lines.append(
            Line(
                f"training, 6 layers x 256, against Hugging Face GPT-2 in {name}",
                BATCH * LENGTH / statistics.median(mine),
                BATCH * LENGTH / statistics.median(others),
                "tokens/s",
                median_ratio(others, mine),
                target,
                "higher",
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        peak = peak_matrix_rate(pick_device(), dtype, Path(folder) / "rates.json")
    reached = BATCH * LENGTH / best * our_gpt(**SHAPE).flops_per_token()
    name, note = (
        "training, fraction of the matrix multiplication rate",
        f"of {str(dtype).removeprefix('torch.')} products",
    )
    return [*lines, Line(name, reached / 1e9, peak / 1e9, "GFLOP/s", reached / peak, 0.5, "higher", note)]


def packing() -> list[Line]:
    """Training in which no token attends to another document, against the same without this mask."""
    masked, plain = seconds_in_turn(
        partial(our_step, chosen_dtype(), with_documents=True),
        partial(our_step, chosen_dtype()),
        n_rounds=N_ROUNDS,
        environment=START_SETTINGS,
    )
    n_tokens, name = BATCH * LENGTH, "training with documents kept apart, against the same without a mask"
    speeds = n_tokens / statistics.median(masked), n_tokens / statistics.median(plain)
    note = f"documents of {DOCUMENT_TOKENS} tokens on average"
    return [Line(name, *speeds, "tokens/s", median_ratio(plain, masked), 0.95, "higher", note)]


def memory() -> list[Line]:
    """Peak memory of a few steps in a process of its own, minus that of a process that only imports."""
    base = {who: _peak_gibibytes(who, n_steps=0) for who in ("ours", "theirs")}
    peak = {who: _peak_gibibytes(who, n_steps=3) - base[who] for who in base}
    return [
        Line(
            "memory of training, same size",
            peak["ours"],
            peak["theirs"],
            "GiB",
            peak["ours"] / peak["theirs"],
            0.8,
            "lower",
            "beyond the imports, Hugging Face GPT-2 in fp32",
        )
    ]


def _peak_gibibytes(who: str, n_steps: int) -> float:
    command = [sys.executable, "-m", "benchmarks.training_speed", who, str(n_steps)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _train(who: str, n_steps: int) -> None:
    import transformers  # noqa: F401  imported by both processes, so that it cancels out

    if n_steps:
        step = our_step(chosen_dtype()) if who == "ours" else their_step(torch.float32)
        for _ in range(n_steps):
            step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)  # noqa: T201


if __name__ == "__main__":
    _train(sys.argv[1], int(sys.argv[2]))
