"""Gradient checkpointing gives the same gradients and stores less."""

import pytest
import torch

from lmcore.models.trainable import TrainableModel
from tests.lmcore.models.small_models import CONFIGS, draw_tokens, make_model


def gradients_of(model: TrainableModel) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """The loss, its gradients, and how many numbers were kept for them."""
    tokens, kept = draw_tokens(3, 12), 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = model.loss(tokens, tokens.roll(-1, 1))
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in model.named_parameters()}, kept


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("family", CONFIGS)
def test_gradients_are_the_same_with_less_kept(family: str, dropout: float) -> None:
    model = make_model(family, dropout=dropout).train()
    loss, gradients, kept = gradients_of(model)
    again = make_model(family, dropout=dropout).train()
    again.gradient_checkpointing = True
    same_loss, same_gradients, kept_again = gradients_of(again)
    assert torch.equal(loss, same_loss)
    assert gradients.keys() == same_gradients.keys()
    for name, gradient in gradients.items():
        assert torch.equal(gradient, same_gradients[name]), name
    assert kept_again < kept / 2


@pytest.mark.parametrize("family", CONFIGS)
def test_nothing_is_computed_twice_outside_of_training(family: str) -> None:
    model = make_model(family)
    model.gradient_checkpointing = True
    calls = []
    for name, module in model.named_modules():
        if name.endswith("blocks.0"):
            # The second time it stops short of the end, as soon as there is all that was not kept.
            module.register_forward_pre_hook(lambda *_: calls.append(1))
    tokens = draw_tokens(2, 12)
    model.eval().loss(tokens, tokens).backward()
    n_once = len(calls)
    model.train().loss(tokens, tokens).backward()
    assert len(calls) == 3 * n_once > 0
