"""Detects steps that would damage the weights: a loss or gradient that is not finite, or a spike in the loss."""

import math
import statistics
from collections.abc import Sequence

from lmcore.config.training import StabilityConfig

MIN_STANDARD_DEVIATION = 0.01
"""In nats: with an almost constant loss, small rises are not spikes."""
LOWEST_SPIKE = 1.0
"""In nats per target: a lower loss is never a spike, since the targets still have a probability of 1/e. Where a model
has almost learned its data, the loss is near zero except for a few batches with a surprise, which are many deviations
above the mean; if these were skipped, they would never widen the deviation, and the model would never learn them."""


def reason_to_skip(
    loss: float, gradient_norm: float, recent_losses: Sequence[float], config: StabilityConfig
) -> str | None:
    """Why this step must not update the weights; None if it may.

    Args:
        loss: the loss of the step in nats.
        gradient_norm: the norm of its gradient before clipping.
        recent_losses: the losses of the last accepted steps; spikes are detected once there are
            ``spike_window_steps`` of them.
        config: how many standard deviations above their mean a loss may be, if it is above :data:`LOWEST_SPIKE`.
    """
    if not math.isfinite(loss) or not math.isfinite(gradient_norm):
        return f"loss {loss:.4g} and gradient norm {gradient_norm:.4g} are not both finite"
    if len(recent_losses) < config.spike_window_steps:
        return None
    mean = statistics.fmean(recent_losses)
    deviation = max(statistics.pstdev(recent_losses, mean), MIN_STANDARD_DEVIATION)
    limit = max(mean + config.spike_sigmas * deviation, LOWEST_SPIKE)
    if loss > limit:
        return (
            f"loss {loss:.4g} is a spike: the last {len(recent_losses)} losses had a mean of {mean:.4g}, and the "
            f"limit is {limit:.4g}: {config.spike_sigmas:g} standard deviations above it, but at least {LOWEST_SPIKE:g}"
        )
    return None
