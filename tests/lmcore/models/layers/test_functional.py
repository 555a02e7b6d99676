"""Whole models give the same losses and gradients with the plain formulas as with the hand-derived CPU code."""

import pytest
import torch

from lmcore.models.layers import functional
from lmcore.models.trainable import TrainableModel
from tests.lmcore.models.gpt.test_gpt import VARIANTS
from tests.lmcore.models.gpt.test_gpt import make_model as make_gpt
from tests.lmcore.models.small_models import draw_tokens, make_model

MAKERS = {
    **{f"gpt {name}": lambda changes=changes: make_gpt(**changes) for name, changes in VARIANTS.items()},
    "gpt2": lambda: make_model("gpt2"),
    "encoder_decoder": lambda: make_model("encoder_decoder"),
}


def loss_and_gradients(model: TrainableModel) -> list[torch.Tensor]:
    tokens = draw_tokens(3, 12)
    targets = tokens.roll(-1, 1)
    targets[0, 5:] = -100
    loss = model.loss(tokens, targets, label_smoothing=0.1)
    return [loss, *torch.autograd.grad(loss, [*model.parameters()], allow_unused=True)]


@pytest.mark.parametrize("name", MAKERS)
def test_the_plain_formulas_give_the_same_losses_and_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MAKERS[name]()
    ours = loss_and_gradients(model)
    assert functional.uses_cpu_code(ours[0])
    monkeypatch.setattr(functional, "uses_cpu_code", lambda _: False)
    torch.testing.assert_close(ours, loss_and_gradients(model), rtol=1e-4, atol=1e-4)
