"""A training on a GPU has the losses and gradients of the CPU, compiled or not, and resumes exactly."""

from pathlib import Path

import pytest
import torch

from lmcore.models.gpt.model import GPT
from tests.lmcore.models.gpt.test_gpt import VARIANTS, draw_tokens, make_model
from tests.lmcore.training.test_loop import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICE = torch.device("cuda", 0)


def on_gpu(**changes: object) -> GPT:
    return make_model(**changes).to(DEVICE)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("is_compiled", [False, True])
def test_loss_and_gradients_are_those_of_the_cpu(variant: str, is_compiled: bool) -> None:
    torch.set_float32_matmul_precision("highest")
    here, there = make_model(**VARIANTS[variant]), on_gpu(**VARIANTS[variant])
    tokens, targets = draw_tokens(3, 12), draw_tokens(3, 12).roll(1)
    targets[0, :4] = -100
    loss_there = torch.compile(there.loss) if is_compiled else there.loss
    expected = here.loss(tokens, targets, label_smoothing=0.1)
    found = loss_there(tokens.to(DEVICE), targets.to(DEVICE), label_smoothing=0.1)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)
    expected.backward()
    found.backward()
    for (name, one), other in zip(here.named_parameters(), there.parameters(), strict=True):
        torch.testing.assert_close(
            other.grad.cpu(), one.grad, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_it_learns_compiled_in_bfloat16(tmp_path: Path) -> None:
    record, metrics = run(tmp_path, on_gpu(), torch_compile="always", full_determinism=False)
    assert record.precision == "bfloat16"
    assert record.best_validation_loss < metrics[0][1]["loss"] / 2
    assert metrics[-1][1]["gpu_memory_gib"] > 0


def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    model = on_gpu(dropout=0.1)
    record, _ = run(tmp_path / "whole", model)
    parts = on_gpu(dropout=0.1)
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "parts", parts)
    again = on_gpu(dropout=0.1)
    assert run(tmp_path / "parts", again)[0] == record
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def interrupted(folder: Path, model: GPT) -> None:
    """Train until the twentieth call of the loss."""
    loss, calls = model.loss, iter(range(20))

    def limited(*arguments: object, **options: object) -> torch.Tensor:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return loss(*arguments, **options)

    model.loss = limited  # type: ignore[method-assign]
    run(folder, model)
