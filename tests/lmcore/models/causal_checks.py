"""What every causal model promises, whatever its architecture."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lmcore.models.generative import CausalModel
from lmcore.models.trainable import TrainableModel

LENGTH = 12
"""The context of the models."""


@torch.no_grad()
def check_that_parts_have_the_logits_of_the_whole(model: CausalModel, tokens: torch.Tensor) -> None:
    """Tokens (batch, LENGTH) that are read in parts."""
    state = model.new_state(len(tokens))
    parts = [model(part, state=state) for part in tokens.split([5, 1, 4, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def check_that_left_padded_sequences_are_read_as_if_alone(model: CausalModel, tokens: torch.Tensor) -> None:
    """Tokens (3, 10), read as a whole and in parts."""
    lengths = [10, 3, 7]
    mask = torch.arange(10) >= 10 - torch.tensor(lengths)[:, None]
    whole = model(tokens, mask=mask)
    state = model.new_state(3)
    parts = [model(tokens[:, :8], mask=mask[:, :8], state=state), model(tokens[:, 8:9], mask=mask[:, :9], state=state)]
    parts.append(model(tokens[:, 9:], mask=mask, state=state))
    for row, length in enumerate(lengths):
        alone = model(tokens[row : row + 1, -length:])[0]
        torch.testing.assert_close(whole[row, -length:], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat(parts, dim=1)[row, -length:], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def check_that_selected_rows_of_a_state_go_on(model: CausalModel, tokens: torch.Tensor) -> None:
    """Tokens (3, 6)."""
    state, rows = model.new_state(3), torch.tensor([2, 0, 2, 1])
    model(tokens[:, :5], state=state)
    state.select(rows)
    torch.testing.assert_close(
        model.next_logits(tokens[rows, 5:], state=state), model.next_logits(tokens)[rows], rtol=1e-4, atol=1e-5
    )


def check_that_loss_is_the_cross_entropy_of_the_logits(
    model: TrainableModel, tokens: torch.Tensor, label_smoothing: float = 0.0
) -> None:
    """Tokens (2, LENGTH)."""
    targets = tokens.roll(1)
    targets[0, :4] = -100
    expected = torch.nn.functional.cross_entropy(
        model(tokens).transpose(1, 2), targets, reduction="sum", label_smoothing=label_smoothing
    )
    found = model.loss(tokens, targets, label_smoothing=label_smoothing)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def check_that_it_knows_nothing(untrained: TrainableModel, tokens: torch.Tensor) -> None:
    """A model whose weights are those of its initialization."""
    loss = untrained.loss(tokens, tokens.roll(-1, 1)) / tokens.numel()
    assert loss.item() == pytest.approx(torch.tensor(float(untrained.vocabulary.size)).log().item(), abs=0.1)


def check_that_bfloat16_comes_close(model: TrainableModel, tokens: torch.Tensor) -> None:
    """Of a Transformer, whose state is a cache of keys and values."""
    accurate = model.loss(tokens, tokens.roll(-1, 1))
    model.compute_in(torch.bfloat16)
    assert model.new_state(1).keys[0].dtype == torch.bfloat16
    rough = model.loss(tokens, tokens.roll(-1, 1))
    rough.backward()
    torch.testing.assert_close(rough, accurate, rtol=0.02, atol=0)
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients)


def check_that_operations_are_those_that_torch_counts(
    model: TrainableModel, tokens: torch.Tensor, n_layers: int, attention_size: int
) -> None:
    """Tokens (batch, LENGTH); ``attention_size`` is that of all heads together."""
    with FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    # What is computed and thrown away, attention's look into the future, is not needed for training.
    future = 6 * n_layers * attention_size * LENGTH
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token() + future
