"""Trading time for memory: a block's inner activations are computed again on the way back."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lmcore.models.trainable import TrainableModel


def run_block(model: TrainableModel, block: nn.Module, *arguments: Any, **named: Any) -> Tensor:
    """What ``block`` makes of its arguments, keeping only these for the way back where the model says so
    (Chen et al. 2016); dropout then draws the same once more."""
    if model.recomputes_activations and model.training and torch.is_grad_enabled():
        result: Tensor = checkpoint(block, *arguments, use_reentrant=False, preserve_rng_state=True, **named)
    else:
        result = block(*arguments, **named)
    return result
