"""Rotary positions (Su et al. 2021, RoFormer), also stretched to longer contexts."""

import math

import torch
from torch import Tensor, nn

from lmcore.config.published_models import LinearRopeScaling, Llama3RopeScaling
from lmcore.models.layers.functional import rotate

RopeScaling = LinearRopeScaling | Llama3RopeScaling


class RotaryPositions(nn.Module):
    """Rotates pairs of a head's features by an angle that grows with the position.

    Args:
        head_dim: features of a head; feature ``i`` is paired with ``i + head_dim / 2``.
        max_position_embeddings: number of positions.
        rope_theta: base of the frequencies.
        rope_scaling: how low frequencies are stretched; None if they are not.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self, head_dim: int, max_position_embeddings: int, *, rope_theta: float, rope_scaling: RopeScaling | None
    ) -> None:
        super().__init__()
        frequencies = _scaled(rotary_frequencies(head_dim, rope_theta), rope_scaling)
        angles = torch.outer(torch.arange(max_position_embeddings, dtype=torch.float32), frequencies)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, heads: Tensor, start: int = 0) -> Tensor:
        """Map (batch, length, heads, head_dim) to (batch, heads, length, head_dim); the first position is ``start``."""
        end = start + heads.size(1)
        return rotate(heads, self.cosine[start:end], self.sine[start:end])


def rotary_frequencies(head_dim: int, rope_theta: float) -> Tensor:
    """Radians per position of each pair of features, float32 (head_dim / 2,).

    Computed in float32 like those of ``transformers``, so that late positions have the same angles.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    return 1.0 / rope_theta**exponents


def _scaled(frequencies: Tensor, scaling: RopeScaling | None) -> Tensor:
    match scaling:
        case None:
            return frequencies
        case LinearRopeScaling():
            return frequencies / scaling.factor
        case Llama3RopeScaling():
            return _scaled_by_bands(frequencies, scaling)


def _scaled_by_bands(frequencies: Tensor, scaling: Llama3RopeScaling) -> Tensor:
    """Divide the frequencies with less than ``low_freq_factor`` periods in the original context by ``factor``, keep
    those with more than ``high_freq_factor``, and interpolate linearly in the number of periods between them."""
    periods = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    kept = (periods - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return torch.lerp(frequencies / scaling.factor, frequencies, kept.clamp(0.0, 1.0))
