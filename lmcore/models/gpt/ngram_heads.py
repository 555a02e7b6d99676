"""N-gram heads: the token that followed the last occurrence of the latest tokens is an input of the model.

Attention can learn to find an earlier occurrence of the latest tokens and to copy what came next (an *induction head*,
Olsson et al. 2022, https://arxiv.org/abs/2209.11895), but it does so late: a model that is trained for minutes never
does. Akyürek et al. (2024), "In-Context Language Learning: Architectures and Algorithms",
https://arxiv.org/abs/2401.12973, build this search into the model.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.models.layers.functional import normalize

INPUT_SCALE, OUTPUT_SCALE = 0.3, 0.1
"""Initial factors of the embedding that is added to the input and to the output of the blocks."""


class Found(NamedTuple):
    """What n-gram heads add to a model's input and to its output, each (batch, new positions, hidden_size)."""

    for_input: Tensor
    for_output: Tensor


class NgramHeads(nn.Module):
    """Learned factors, feature by feature and by the length of the match, of the found token's embedding.

    Args:
        hidden_size: the size of an embedding.
        order: the greatest number of latest tokens that are compared.
    """

    def __init__(self, hidden_size: int, order: int) -> None:
        super().__init__()
        self.order = order
        self.input_scales = _scales(order, hidden_size, INPUT_SCALE)
        self.output_scales = _scales(order, hidden_size, OUTPUT_SCALE)

    def forward(
        self, embedding: nn.Embedding, tokens: Tensor, n_new: int, visible: Tensor | None, dtype: torch.dtype
    ) -> Found:
        """The scaled, normalized embeddings of the tokens that are found; other arguments as for
        :func:`find_continuations`."""
        following, lengths = find_continuations(tokens, n_new, self.order, visible)
        copied = normalize(embedding(following).to(dtype)).masked_fill((lengths == 0).unsqueeze(-1), 0.0)
        return Found(*(copied * scales(lengths).to(dtype) for scales in (self.input_scales, self.output_scales)))


def _scales(order: int, hidden_size: int, start: float) -> nn.Embedding:
    """Factors by the length of the match, (order + 1, hidden_size); those of length 0, no match, stay 0."""
    scales = nn.Embedding(order + 1, hidden_size, padding_idx=0)
    nn.init.constant_(scales.weight[1:], start)
    return scales


@torch.no_grad()
def find_continuations(tokens: Tensor, n_new: int, order: int, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What followed the last occurrence of the longest sequence of latest tokens that has occurred before.

    Args:
        tokens: int64 of shape (batch, positions), those read so far.
        n_new: the last positions, for which the result is wanted.
        order: the greatest length of the sequence.
        visible: bool, broadcast to (batch, 1, n_new, positions), true where an earlier position belongs to the same
            text, as in attention; None: everywhere.

    Returns:
        the tokens that followed, int64 (batch, n_new), and the length of the sequence, int64 of the same shape; if it
        is 0, nothing was found and the token has no meaning.
    """
    n_positions = tokens.size(1)
    start = n_positions - n_new
    positions = torch.arange(n_positions, device=tokens.device)
    same = positions < positions[start:, None]
    # Before the beginning, nothing is equal to anything.
    latest, earlier = (F.pad(tokens, (order - 1, 0), value=value) for value in (-1, -2))
    lengths = torch.zeros(1, dtype=torch.int32, device=tokens.device)
    for back in range(order):
        first = order - 1 - back
        query = latest[:, first + start : first + n_positions]
        same = same & (query.unsqueeze(2) == earlier[:, first : first + n_positions].unsqueeze(1))
        if visible is not None:
            same = same & F.pad(visible[:, 0], (back, 0))[..., :n_positions]
        lengths = lengths + same
    best = (lengths * n_positions + positions).amax(dim=2)
    following = (best % n_positions + 1).clamp_max(n_positions - 1)
    return tokens.gather(1, following.long()), (best // n_positions).long()
