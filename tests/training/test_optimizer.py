"""Muon's directions are orthogonal, and every parameter has one optimizer."""

import pytest
import torch

from lmcore.training.config import AdamWConfig, MuonConfig
from lmcore.training.optimizer import ModelOptimizer, orthogonalize
from tests.models.test_gpt import draw_tokens, make_model

ADAMW = AdamWConfig(name="adamw", learning_rate=1e-2, beta1=0.9, beta2=0.95, weight_decay=0.1)
MUON = MuonConfig(name="muon", learning_rate=0.02, momentum=0.95, weight_decay=0.01, others=ADAMW)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 64), (2, 64, 16)])
def test_orthogonalized_matrices_point_where_their_nearest_orthogonal_ones_do(shape: tuple[int, ...]) -> None:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(drawn, full_matrices=False)
    matrices = left * torch.logspace(-2, 0, 16) @ right
    result = orthogonalize(matrices).float()
    singular_values = torch.linalg.svdvals(result)
    assert singular_values.min() > 0.75
    assert singular_values.max() < 1.25
    cosine = torch.nn.functional.cosine_similarity(result.flatten(1), (left @ right).flatten(1))
    assert cosine.min() > 0.98


@pytest.mark.parametrize("config", [ADAMW, MUON])
def test_every_parameter_moves_and_a_factor_of_zero_stops_it(config: AdamWConfig | MuonConfig) -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    optimizer = ModelOptimizer(model, config)
    for factor, moves in ((0.0, False), (1.0, True)):
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        model.loss(tokens, tokens.roll(-1, 1)).backward()
        optimizer.step(factor)
        for name, parameter in model.named_parameters():
            assert torch.equal(before[name], parameter) is not moves, name


@pytest.mark.parametrize("config", [ADAMW, MUON])
def test_a_restored_optimizer_goes_on_as_the_first_would(config: AdamWConfig | MuonConfig) -> None:
    tokens = draw_tokens(2, 12)
    first, second = make_model(), make_model()
    optimizer = ModelOptimizer(first, config)

    def step(model: torch.nn.Module, optimizer: ModelOptimizer) -> None:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
        optimizer.step(1.0)

    step(first, optimizer)
    state = {name: value.clone() for name, value in optimizer.state().items()}
    second.load_state_dict(first.state_dict())
    restored = ModelOptimizer(second, config)
    restored.load_state(state)
    step(first, optimizer)
    step(second, restored)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.state_dict()[name]), name
