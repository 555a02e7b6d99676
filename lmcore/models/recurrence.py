"""The recurrences of models that read one token after the other, as single differentiable functions.

Composed of ordinary operators, every position would leave a dozen small nodes for the way back, each with a product of
its own for the gradient of the weights. With the derivative written out by hand only what depends on the position
before stays in the loop; all else is done for all positions at once.
"""

from typing import Any

import torch
from torch import Tensor

N_GATES = 4
"""Of an LSTM, stacked in this order: output, input, forget, cell. So the three sigmoids stand side by side, and so do
the three that the cell's gradient flows through."""


def lstm_recurrence(
    gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Run a long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    Args:
        gates: what the inputs and the bias add to the gates, (length, batch, 4 · width).
        weight: from one position to the next, (4 · width, width).
        hidden: the output before the first position, (batch, width).
        cell: likewise its cell.
        dtype: what the product for the gradient of ``weight`` is computed in; that of ``weight`` where None.

    Returns:
        the outputs (length, batch, width) and the last cell (batch, width).
    """
    outputs, last_cell = _LSTMRecurrence.apply(gates, weight, hidden, cell, dtype)  # type: ignore[no-untyped-call]
    return outputs, last_cell


class _LSTMRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, dtype: torch.dtype | None
    ) -> tuple[Tensor, Tensor]:
        length, batch, width = gates.size(0), hidden.size(0), hidden.size(1)
        activated = torch.empty_like(gates, memory_format=torch.contiguous_format)
        hiddens, cells = (start.new_empty(length + 1, batch, width) for start in (hidden, cell))
        hiddens[0], cells[0] = hidden, cell
        bounded = cells.new_empty(length, batch, width)  # the hyperbolic tangents of the cells
        transposed = weight.T
        for place in range(length):
            gate = torch.addmm(gates[place], hiddens[place], transposed, out=activated[place])
            gate[:, : 3 * width].sigmoid_()
            gate[:, 3 * width :].tanh_()
            opened, written, kept, candidate = gate.split(width, dim=1)
            torch.mul(kept, cells[place], out=cells[place + 1]).addcmul_(written, candidate)
            torch.tanh(cells[place + 1], out=bounded[place])
            torch.mul(opened, bounded[place], out=hiddens[place + 1])
        ctx.dtype = dtype or weight.dtype
        ctx.save_for_backward(activated, weight, hiddens, cells, bounded)
        return hiddens[1:], cells[length].clone()

    @staticmethod
    def backward(
        ctx: Any, for_outputs: Tensor, for_cell: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, None]:
        activated, weight, hiddens, cells, bounded = ctx.saved_tensors
        slopes, through_output = _lstm_slopes(activated, cells[:-1], bounded)
        kept = activated.unflatten(2, (N_GATES, -1))[:, :, 2]
        for_hidden, for_cell = for_outputs[-1], for_cell.clone()
        for place in reversed(range(len(slopes))):
            slope = slopes[place]
            for_cell.addcmul_(for_hidden, through_output[place])
            slope[:, 0].mul_(for_hidden)
            slope[:, 1:].mul_(for_cell.unsqueeze(1))
            for_cell.mul_(kept[place])
            if place > 0:
                for_hidden = torch.addmm(for_outputs[place - 1], slope.flatten(1), weight)
        for_gates = slopes.flatten(2)
        for_weight = None
        if ctx.needs_input_grad[1]:
            rows, before = (part.flatten(0, 1).to(ctx.dtype) for part in (for_gates, hiddens[:-1]))
            for_weight = (rows.T @ before).to(weight.dtype)
        for_first = for_gates[0] @ weight if ctx.needs_input_grad[2] else None
        return for_gates, for_weight, for_first, for_cell if ctx.needs_input_grad[3] else None, None


def _lstm_slopes(activated: Tensor, cells_before: Tensor, bounded: Tensor) -> tuple[Tensor, Tensor]:
    """How the output (first gate) or the cell (the others) changes with each gate before its activation function,
    (length, batch, 4, width), and how the output changes with the cell, (length, batch, width)."""
    opened, written, kept, candidate = activated.unflatten(2, (N_GATES, -1)).unbind(2)
    slopes = activated.new_empty(*bounded.shape[:2], N_GATES, bounded.size(2))
    torch.addcmul(opened, opened, opened, value=-1, out=slopes[:, :, 0]).mul_(bounded)
    torch.addcmul(written, written, written, value=-1, out=slopes[:, :, 1]).mul_(candidate)
    torch.addcmul(kept, kept, kept, value=-1, out=slopes[:, :, 2]).mul_(cells_before)
    torch.addcmul(written, written * candidate, candidate, value=-1, out=slopes[:, :, 3])
    through_output = opened * bounded
    through_output = torch.addcmul(opened, through_output, bounded, value=-1)
    return slopes, through_output
