"""Whether the precision that training chooses by the processor's capability is the faster one."""

from functools import partial

import torch

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.training_speed import BATCH, LENGTH, chosen_dtype, our_step

N_ROUNDS = 3


def precision() -> list[Line]:
    """One line: the chosen precision against the other one, in the same training."""
    names = {torch.bfloat16: "bfloat16", torch.float32: "float32"}
    chosen = chosen_dtype()
    (other,) = set(names) - {chosen}
    mine, others = seconds_in_turn(partial(our_step, chosen), partial(our_step, other), n_rounds=N_ROUNDS)
    return [
        Line(
            f"training in {names[chosen]}, chosen by capability, against {names[other]}",
            BATCH * LENGTH / min(mine),
            BATCH * LENGTH / min(others),
            "tokens/s",
            median_ratio(others, mine),
            1.0,
            "higher",
        )
    ]
