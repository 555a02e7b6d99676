"""What keeps a training from being spoilt by a step whose loss or gradient is not to be believed."""

import math
import statistics
from collections.abc import Sequence

from lmcore.config.training import StabilityConfig

SMALLEST_SPREAD = 0.01
"""In nats: an almost constant loss does not make each little rise a spike."""


def reason_to_skip(
    loss: float, gradient_norm: float, recent_losses: Sequence[float], config: StabilityConfig
) -> str | None:
    """Why the weights must not see this step; None if they may.

    Args:
        loss: of the step, in nats.
        gradient_norm: before clipping.
        recent_losses: of the last accepted steps; a spike is told only from ``spike_window_steps`` of them on.
        config: how far from their mean a loss may lie, in standard deviations.
    """
    if not math.isfinite(loss) or not math.isfinite(gradient_norm):
        return f"loss {loss:.4g} and gradient norm {gradient_norm:.4g} are not both finite"
    if len(recent_losses) < config.spike_window_steps:
        return None
    mean = statistics.fmean(recent_losses)
    spread = max(statistics.pstdev(recent_losses, mean), SMALLEST_SPREAD)
    highest = mean + config.spike_sigmas * spread
    if loss > highest:
        return f"loss {loss:.4g} is above {highest:.4g}, {config.spike_sigmas:g} standard deviations beyond the mean"
    return None
