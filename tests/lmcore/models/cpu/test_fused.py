"""Every fused function equals its plain formula, in value and in gradient."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.models.cpu.fused import attention, normalize, rotate_normalized, squared_relu
from lmcore.models.layers.functional import linear_cross_entropy

BATCH, LENGTH, HEADS, WIDTH = 2, 7, 3, 8
VISIBLE = (torch.arange(BATCH * LENGTH * 4) % 3 > 0).view(BATCH, 1, LENGTH, 4)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def rotations() -> tuple[Tensor, Tensor]:
    angles = torch.outer(torch.arange(LENGTH, dtype=torch.float64), torch.linspace(1.0, 0.1, WIDTH // 2))
    return angles.cos(), angles.sin()


def rotate_plainly(heads: Tensor) -> Tensor:
    """Rotate each pair of features, as a complex number, by the angle of its position."""
    normalized = F.rms_norm(heads, (WIDTH,))
    pairs = torch.complex(normalized[..., : WIDTH // 2], normalized[..., WIDTH // 2 :])
    cosine, sine = rotations()
    rotated = pairs * torch.complex(cosine, sine)[:, None, :]
    return torch.cat((rotated.real, rotated.imag), dim=-1).transpose(1, 2)


CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]] = {
    "normalize": (normalize, lambda hidden: F.rms_norm(hidden, (WIDTH,)), [draw(BATCH, LENGTH, WIDTH)]),
    "rotate": (
        lambda heads: rotate_normalized(heads, *rotations()),
        rotate_plainly,
        [draw(BATCH, LENGTH, HEADS, WIDTH)],
    ),
    "attention": (
        attention,
        lambda query, key, value: F.scaled_dot_product_attention(query, key, value, is_causal=True),
        [draw(BATCH, HEADS, LENGTH, WIDTH), draw(BATCH, HEADS, LENGTH, WIDTH) + 1, draw(BATCH, HEADS, LENGTH, WIDTH)],
    ),
    "masked attention to another sequence": (
        lambda query, key, value: attention(query, key, value, VISIBLE),
        lambda query, key, value: F.scaled_dot_product_attention(query, key, value, attn_mask=VISIBLE),
        [draw(BATCH, HEADS, LENGTH, WIDTH), draw(BATCH, HEADS, 4, WIDTH) + 1, draw(BATCH, HEADS, 4, WIDTH)],
    ),
    "squared_relu": (squared_relu, lambda hidden: F.relu(hidden) ** 2, [draw(BATCH, LENGTH, WIDTH)]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fused_function_equals_its_plain_formula(name: str) -> None:
    fused, formula, inputs = CASES[name]
    ours = [tensor.clone().requires_grad_() for tensor in inputs]
    theirs = [tensor.clone().requires_grad_() for tensor in inputs]
    result, expected = fused(*ours), formula(*theirs)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)
    direction = draw(*expected.shape)
    result.backward(direction)
    expected.backward(direction)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("n_rows", [5, 1100])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_equals_that_of_torch(cap: float | None, n_rows: int, smoothing: float) -> None:
    vocabulary = 11
    hidden, weight = draw(n_rows, WIDTH).float(), draw(vocabulary, WIDTH).float()
    targets = torch.randint(vocabulary, (n_rows,), generator=torch.Generator().manual_seed(3))
    targets[::4] = -100
    ours = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    theirs = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    result = linear_cross_entropy(ours[0], ours[1], targets, cap=cap, label_smoothing=smoothing)
    logits = theirs[0] @ theirs[1].T
    capped = logits if cap is None else cap * torch.tanh(logits / cap)
    expected = F.cross_entropy(capped, targets, ignore_index=-100, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-4)
    (result / 7).backward()
    (expected / 7).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_normalize_survives_zeros() -> None:
    zeros = torch.zeros(2, WIDTH, requires_grad=True)
    normalize(zeros).sum().backward()
    assert zeros.grad is not None
    assert math.isfinite(zeros.grad.abs().sum().item())
