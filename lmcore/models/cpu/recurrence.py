"""The recurrences of the LSTM and the hidden Markov model as single differentiable functions.

Composed of ordinary operators, every position would add a dozen small nodes to the autograd graph, each with its own
matrix product for the gradient of the weights. With hand-derived backward passes, only what depends on the previous
position stays in the loop; everything else is computed for all positions at once.
"""

from typing import Any

import torch
from torch import Tensor

N_GATES = 4
"""The gates of an LSTM, stacked in this order: output, input, forget, cell. The three sigmoids are then adjacent, and
so are the three gates that the cell's gradient flows through."""
MIN_PRODUCTS_FOR_COPY = 8
"""At this many matrix products or more, a transposed copy of the weights pays off."""
MIN_STATE_PROBABILITY = 1e-30
"""Lower bound of the probability of a hidden Markov model's state before its token is known."""


def lstm_recurrence(gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Run an LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    Matrix products are computed in the dtype of ``weight``, which may have lower precision than the rest.

    Args:
        gates: the contribution of inputs and bias to the gates, shape (length, batch, 4 * hidden_size).
        weight: recurrent weights, shape (4 * hidden_size, hidden_size).
        hidden: the output before the first position, shape (batch, hidden_size).
        cell: the cell before the first position, same shape, in the dtype of ``gates``.

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
        bounded = cells.new_empty(length, batch, hidden_size)  # tanh of the cells
        # With many products, a copy in the layout they need is faster.
        transposed = weight.T.contiguous() if length >= MIN_PRODUCTS_FOR_COPY else weight.T
        for position in range(length):
            gate = _add_product(gates[position], hiddens[position], transposed, activated[position])
            gate[:, : 3 * hidden_size].sigmoid_()
            gate[:, 3 * hidden_size :].tanh_()
            opened, written, kept, candidate = gate.chunk(N_GATES, dim=1)
            torch.mul(kept, cells[position], out=cells[position + 1]).addcmul_(written, candidate)
            torch.tanh(cells[position + 1], out=bounded[position])
            torch.mul(opened, bounded[position], out=hiddens[position + 1])
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
        for position in reversed(range(len(slopes))):
            slope = slopes[position]
            for_cell.addcmul_(for_hidden, through_output[position])
            slope[:, 0].mul_(for_hidden)
            slope[:, 1:].mul_(for_cell.unsqueeze(1))
            for_cell.mul_(kept[position])
            if position > 0:
                gradient = slope.flatten(1).to(weight.dtype)
                for_hidden = _add_product(for_outputs[position - 1], gradient, weight, torch.empty_like(for_hidden))
        for_gates = slopes.flatten(2)
        rows, before = for_gates.flatten(0, 1).to(weight.dtype), hiddens[:-1].flatten(0, 1)
        needs_gradient = ctx.needs_input_grad
        return (
            for_gates,
            rows.T @ before if needs_gradient[1] else None,
            rows[: hiddens.size(1)] @ weight if needs_gradient[2] else None,
            for_cell if needs_gradient[3] else None,
        )


def _add_product(summand: Tensor, rows: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """Write ``summand + rows @ weight`` to ``out``."""
    if rows.dtype == summand.dtype == out.dtype:
        return torch.addmm(summand, rows, weight, out=out)
    return torch.add(summand, rows @ weight, out=out)


def _lstm_slopes(activated: Tensor, cells_before: Tensor, bounded: Tensor) -> tuple[Tensor, Tensor]:
    """The derivative of the output (first gate) or the cell (the others) with respect to each gate before its
    activation function, shape (length, batch, 4, hidden_size), and that of the output with respect to the cell, shape
    (length, batch, hidden_size)."""
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
        start: state probabilities at the first position, before its token is known, shape (batch, states).
        transition: transition probabilities, shape (states, states); each row sums to one.
        evidence: the probability that each state emits the token at each position, up to a factor per position, shape
            (length, batch, states).

    Returns:
        state probabilities at the position after each one, given all tokens so far, shape (length, batch, states).
    """
    result: Tensor = _FilterStates.apply(start, transition, evidence)  # type: ignore[no-untyped-call]
    return result


def filter_step(expected: Tensor, transition: Tensor, evidence: Tensor) -> Tensor:
    """One step of :func:`filter_states`: from state probabilities (batch, states) to those of the next position."""
    return _posterior(expected, evidence)[0] @ transition


def _posterior(expected: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
    """State probabilities (batch, states) at a position whose token is known, and the factor (batch, 1) that
    normalizes them."""
    # The lower bound keeps a very unlikely token from making all products zero.
    joint = expected.clamp_min(MIN_STATE_PROBABILITY) * evidence
    factor = joint.sum(dim=1, keepdim=True).reciprocal_()
    return joint.mul_(factor), factor


class _FilterStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, start: Tensor, transition: Tensor, evidence: Tensor) -> Tensor:
        expected = evidence.new_empty(len(evidence) + 1, *start.shape)
        posteriors, factors = torch.empty_like(evidence), evidence.new_empty(*evidence.shape[:2], 1)
        expected[0] = start
        for position in range(len(evidence)):
            posteriors[position], factors[position] = _posterior(expected[position], evidence[position])
            torch.mm(posteriors[position], transition, out=expected[position + 1])
        ctx.save_for_backward(transition, evidence, expected, posteriors, factors)
        return expected[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        transition, evidence, expected, posteriors, factors = ctx.saved_tensors
        for_joint, for_expected = torch.empty_like(posteriors), gradient.clone()
        backwards, scaled_evidence = transition.T.contiguous(), evidence * factors
        before = expected[:-1].clamp_min(MIN_STATE_PROBABILITY)
        scaled_evidence.masked_fill_(expected[:-1] < before, 0.0)
        for_start = for_expected[0]
        for position in reversed(range(len(evidence))):
            for_posterior = torch.mm(for_expected[position], backwards, out=for_joint[position])
            # The probabilities are normalized, so only differences from the mean have an effect.
            for_posterior.sub_((for_posterior * posteriors[position]).sum(dim=1, keepdim=True))
            if position > 0:
                for_expected[position - 1].addcmul_(for_posterior, scaled_evidence[position])
            else:
                for_start = for_posterior * scaled_evidence[position]
        for_transition = posteriors.flatten(0, 1).T @ for_expected.flatten(0, 1)
        return for_start, for_transition, for_joint.mul_(before).mul_(factors)
