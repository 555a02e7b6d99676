"""The state of a recurrent model is selected and forked by texts, whatever tensors it has."""

import torch

from lmcore.models.state import RecurrentState


def make_state() -> RecurrentState:
    return RecurrentState({"a": torch.tensor([[0.0], [10.0], [20.0]]), "b": torch.arange(3)}, length=5)


def test_rows_are_selected_in_any_order_and_repeatedly_in_every_tensor() -> None:
    state = make_state()
    state.select(torch.tensor([2, 0, 2, 1]))
    assert state.tensors["a"].tolist() == [[20.0], [0.0], [20.0], [10.0]]
    assert state.tensors["b"].tolist() == [2, 0, 2, 1]
    assert state.length == 5


def test_continuations_of_a_text_are_adjacent_after_a_fork() -> None:
    state = make_state()
    state.fork(2)
    assert state.tensors["b"].tolist() == [0, 0, 1, 1, 2, 2]
    state.tensors["a"][1] = 7.0
    assert state.tensors["a"][0] == 0.0, "continuations share no memory"


def test_a_detached_state_has_the_values_and_no_gradient() -> None:
    weight = torch.ones(2, 1, requires_grad=True)
    state = RecurrentState({"a": 3 * weight}, length=4)
    detached = state.detached()
    assert not detached.tensors["a"].requires_grad
    assert state.tensors["a"].requires_grad
    assert torch.equal(detached.tensors["a"], state.tensors["a"])
    assert detached.length == 4
