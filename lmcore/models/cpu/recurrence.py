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
PRODUCTS_WORTH_A_COPY = 8
LEAST_EXPECTED = 1e-30
"""No state of a hidden Markov model is held for less likely than this before its token is seen."""


def lstm_recurrence(gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Run a long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    The products are computed in the dtype of ``weight``, which may be lower than that of all the rest.

    Args:
        gates: what the inputs and the bias add to the gates, (length, batch, 4 · hidden_size).
        weight: from one position to the next, (4 · hidden_size, hidden_size).
        hidden: the output before the first position, (batch, hidden_size).
        cell: likewise its cell, in the dtype of ``gates``.

    Returns:
        the outputs (length, batch, hidden_size) in the dtype of ``weight``, and the last cell (batch, hidden_size).
    """
    outputs, last_cell = _LSTMRecurrence.apply(gates, weight, hidden.to(weight.dtype), cell)  # type: ignore[no-untyped-call]
    return outputs, last_cell


class _LSTMRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        length, (batch, hidden_size) = len(gates), hidden.shape
        activated = torch.empty_like(gates, memory_format=torch.contiguous_format)
        hiddens, cells = (start.new_empty(length + 1, batch, hidden_size) for start in (hidden, cell))
        hiddens[0], cells[0] = hidden, cell
        bounded = cells.new_empty(length, batch, hidden_size)  # the hyperbolic tangents of the cells
        # Laid out for the product: faster by more than the copy costs, unless there are few of them.
        transposed = weight.T.contiguous() if length >= PRODUCTS_WORTH_A_COPY else weight.T
        for place in range(length):
            gate = _add_product(gates[place], hiddens[place], transposed, activated[place])
            gate[:, : 3 * hidden_size].sigmoid_()
            gate[:, 3 * hidden_size :].tanh_()
            opened, written, kept, candidate = gate.chunk(N_GATES, dim=1)
            torch.mul(kept, cells[place], out=cells[place + 1]).addcmul_(written, candidate)
            torch.tanh(cells[place + 1], out=bounded[place])
            torch.mul(opened, bounded[place], out=hiddens[place + 1])
        ctx.save_for_backward(activated, weight, hiddens, cells, bounded)
        return hiddens[1:], cells[length].clone()

    @staticmethod
    def backward(
        ctx: Any, for_outputs: Tensor, for_cell: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        activated, weight, hiddens, cells, bounded = ctx.saved_tensors
        slopes, through_output = _lstm_slopes(activated, cells[:-1], bounded)
        kept = activated.chunk(N_GATES, dim=2)[2]
        for_hidden, for_cell = for_outputs[-1].to(slopes.dtype), for_cell.clone()
        for place in reversed(range(len(slopes))):
            slope = slopes[place]
            for_cell.addcmul_(for_hidden, through_output[place])
            slope[:, 0].mul_(for_hidden)
            slope[:, 1:].mul_(for_cell.unsqueeze(1))
            for_cell.mul_(kept[place])
            if place > 0:
                gradient = slope.flatten(1).to(weight.dtype)
                for_hidden = _add_product(for_outputs[place - 1], gradient, weight, torch.empty_like(for_hidden))
        for_gates = slopes.flatten(2)
        rows, before = for_gates.flatten(0, 1).to(weight.dtype), hiddens[:-1].flatten(0, 1)
        wants_gradient = ctx.needs_input_grad
        return (
            for_gates,
            rows.T @ before if wants_gradient[1] else None,
            rows[: hiddens.size(1)] @ weight if wants_gradient[2] else None,
            for_cell if wants_gradient[3] else None,
        )


def _add_product(summand: Tensor, rows: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """Write ``summand + rows @ weight`` to ``out``."""
    if rows.dtype == summand.dtype == out.dtype:
        return torch.addmm(summand, rows, weight, out=out)
    return torch.add(summand, rows @ weight, out=out)


def _lstm_slopes(activated: Tensor, cells_before: Tensor, bounded: Tensor) -> tuple[Tensor, Tensor]:
    """How the output (first gate) or the cell (the others) changes with each gate before its activation function,
    (length, batch, 4, hidden_size), and how the output changes with the cell, (length, batch, hidden_size)."""
    opened, written, kept, candidate = activated.chunk(N_GATES, dim=2)
    slopes = activated.new_empty(*bounded.shape[:2], N_GATES, bounded.size(2))
    torch.addcmul(opened, opened, opened, value=-1, out=slopes[:, :, 0]).mul_(bounded)
    torch.addcmul(written, written, written, value=-1, out=slopes[:, :, 1]).mul_(candidate)
    torch.addcmul(kept, kept, kept, value=-1, out=slopes[:, :, 2]).mul_(cells_before)
    torch.addcmul(written, written * candidate, candidate, value=-1, out=slopes[:, :, 3])
    through_output = torch.addcmul(opened, opened * bounded, bounded, value=-1)
    return slopes, through_output


def filter_states(start: Tensor, transition: Tensor, evidence: Tensor) -> Tensor:
    """The forward algorithm of a hidden Markov model (Rabiner 1989), scaled at every position.

    Args:
        start: how likely each state is at the first position, before its token is known, (batch, states).
        transition: row by row, how likely each state is behind another one, (states, states).
        evidence: how likely each state makes the token at each position, up to a factor for the position,
            (length, batch, states).

    Returns:
        how likely each state is at the position behind each one, given all tokens so far, (length, batch, states).
    """
    result: Tensor = _FilterStates.apply(start, transition, evidence)  # type: ignore[no-untyped-call]
    return result


def filter_step(expected: Tensor, transition: Tensor, evidence: Tensor) -> Tensor:
    """One step of :func:`filter_states`, from the states expected at a position, (batch, states), to the next one's."""
    return _posterior(expected, evidence)[0] @ transition


def _posterior(expected: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
    """The states (batch, states) at a position whose token is known, and the factor (batch, 1) that makes them sum
    to one."""
    # However unlikely the token: were all products to vanish, nothing could be said of what comes behind it.
    joint = expected.clamp_min(LEAST_EXPECTED) * evidence
    factor = joint.sum(dim=1, keepdim=True).reciprocal_()
    return joint.mul_(factor), factor


class _FilterStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, start: Tensor, transition: Tensor, evidence: Tensor) -> Tensor:
        expected = evidence.new_empty(len(evidence) + 1, *start.shape)
        posteriors, factors = torch.empty_like(evidence), evidence.new_empty(*evidence.shape[:2], 1)
        expected[0] = start
        for place in range(len(evidence)):
            posteriors[place], factors[place] = _posterior(expected[place], evidence[place])
            torch.mm(posteriors[place], transition, out=expected[place + 1])
        ctx.save_for_backward(transition, evidence, expected, posteriors, factors)
        return expected[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        transition, evidence, expected, posteriors, factors = ctx.saved_tensors
        for_joint, for_expected = torch.empty_like(posteriors), gradient.clone()
        backwards, scaled_evidence = transition.T.contiguous(), evidence * factors
        before = expected[:-1].clamp_min(LEAST_EXPECTED)
        scaled_evidence.masked_fill_(expected[:-1] < before, 0.0)
        for_start = for_expected[0]
        for place in reversed(range(len(evidence))):
            for_posterior = torch.mm(for_expected[place], backwards, out=for_joint[place])
            # The factor makes the sum one, so only what differs from the mean counts.
            for_posterior.sub_((for_posterior * posteriors[place]).sum(dim=1, keepdim=True))
            if place > 0:
                for_expected[place - 1].addcmul_(for_posterior, scaled_evidence[place])
            else:
                for_start = for_posterior * scaled_evidence[place]
        for_transition = posteriors.flatten(0, 1).T @ for_expected.flatten(0, 1)
        return for_start, for_transition, for_joint.mul_(before).mul_(factors)
