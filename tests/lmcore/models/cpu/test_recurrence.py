"""The gradients of the recurrences are those of their formulas."""

import torch

from lmcore.models.cpu.recurrence import filter_states, lstm_recurrence


def test_the_gradients_of_the_lstm_are_those_of_its_formula() -> None:
    torch.manual_seed(0)
    shapes = [(4, 2, 12), (12, 3), (2, 3), (2, 3)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lstm_recurrence, inputs)


def test_the_gradients_of_the_forward_algorithm_are_those_of_its_formula() -> None:
    torch.manual_seed(0)
    inputs = [
        torch.randn(2, 3, dtype=torch.float64).softmax(1).requires_grad_(),
        torch.randn(3, 3, dtype=torch.float64).softmax(1).requires_grad_(),
        torch.rand(5, 2, 3, dtype=torch.float64).requires_grad_(),
    ]
    assert torch.autograd.gradcheck(filter_states, inputs)
