"""Checks that the precision which training chooses by the capability of the CPU is the faster one."""

from functools import partial

import torch

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.training_speed import BATCH, LENGTH, chosen_dtype, our_step

N_ROUNDS = 3


def precision() -> list[Line]:
    """One line: training in the chosen precision against the other one."""
    names = {torch.bfloat16: "bfloat16", torch.float32: "float32"}
    chosen = chosen_dtype()
    (other,) = set(names) - {chosen}
    mine, others = seconds_in_turn(partial(our_step, chosen), partial(our_step, other), n_rounds=N_ROUNDS)
    return [
        Line(
            f"training in {names[chosen]}, chosen by CPU capability, against {names[other]}",
            BATCH * LENGTH / min(mine),
            BATCH * LENGTH / min(others),
            "tokens/s",
            median_ratio(others, mine),
            1.0,
            "higher",
        )
    ]
