"""Tensors kept from call to call are never those of other weights."""

import torch

from lmcore.models.derived import Derived


def test_a_tensor_is_made_once_for_as_long_as_its_weights_stay_the_same() -> None:
    weight, derived, made = torch.ones(3, requires_grad=True), Derived(), []

    def double() -> torch.Tensor:
        made.append(weight.detach() * 2)
        return made[-1]

    with torch.inference_mode():
        assert derived.get("double", [weight], double) is derived.get("double", [weight], double)
    with torch.no_grad():
        weight.add_(1)
    with torch.inference_mode():
        assert derived.get("double", [weight], double).tolist() == [4.0] * 3
        weight.data.zero_()
        derived.eval()
        assert derived.get("double", [weight], double).tolist() == [0.0] * 3
    assert len(made) == 3


def test_nothing_is_kept_where_gradients_may_flow() -> None:
    weight, derived = torch.ones(3, requires_grad=True), Derived()
    for _ in range(2):
        derived.get("double", [weight], lambda: weight * 2).sum().backward()
    assert weight.grad.tolist() == [4.0] * 3
