"""Prepared weights are always those of the current weights."""

import pytest
import torch

from lmcore.config.models import HMMConfig
from lmcore.models.families import build_model
from lmcore.models.generative import CausalModel
from lmcore.models.prepared_weights import PreparedWeights
from tests.lmcore.models.lstm.test_lstm import make_model as make_lstm
from tests.lmcore.models.small_models import CONFIGS, VOCABULARY, perturb

TOKENS = torch.tensor([[3, 4, 5, 6], [7, 3, 3, 8]])


def make(family: str, seed: int) -> CausalModel:
    torch.manual_seed(seed)
    hmm = HMMConfig(family="hmm", num_states=8, emission_rank=4)
    model = make_lstm(seed) if family == "lstm" else build_model({**CONFIGS, "hmm": hmm}[family], VOCABULARY)
    perturb(model.parameters())
    return model.eval()


def test_a_value_is_prepared_once_for_as_long_as_its_weights_do_not_change() -> None:
    weight, prepared, made = torch.ones(3, requires_grad=True), PreparedWeights(), []

    def double() -> torch.Tensor:
        made.append(weight.detach() * 2)
        return made[-1]

    with torch.inference_mode():
        assert prepared.get("double", [weight], double) is prepared.get("double", [weight], double)
    with torch.no_grad():
        weight.add_(1)
    with torch.inference_mode():
        assert prepared.get("double", [weight], double).tolist() == [4.0] * 3
    assert len(made) == 2


@pytest.mark.parametrize("family", ["lstm", "hmm", "gpt", "gpt2"])
@pytest.mark.parametrize("reads_state", [False, True])
def test_weights_replaced_in_place_are_used(family: str, reads_state: bool) -> None:
    """As weight averaging replaces weights: through ``.data``, which PyTorch does not count."""

    def logits(model: CausalModel) -> torch.Tensor:
        state = model.new_state(2) if reads_state else None
        with torch.inference_mode():
            return torch.stack(
                [model.next_logits(TOKENS[:, position : position + 1], state=state) for position in range(4)]
            )

    model, other = make(family, 1), make(family, 2)
    before = logits(model)
    for weight, another in zip(model.parameters(), other.parameters(), strict=True):
        weight.data.copy_(another.data)
    assert not torch.allclose(logits(model), before, atol=1e-3)
    assert torch.equal(logits(model), logits(other))


def test_nothing_is_kept_outside_of_inference_mode() -> None:
    weight, prepared = torch.ones(3, requires_grad=True), PreparedWeights()
    for _ in range(2):
        prepared.get("double", [weight], lambda: weight * 2).sum().backward()
    assert weight.grad.tolist() == [4.0] * 3
