"""Muon's directions are orthogonal, and every parameter has one optimizer."""

import pytest
import torch

from lmcore.config.training import AdamWConfig, MuonConfig
from lmcore.training.optimizer import ModelOptimizer, orthogonalize
from tests.lmcore.models.gpt.test_gpt import draw_tokens, make_model

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


@pytest.mark.parametrize("shape", [(4, 64), (8, 64), (8, 256), (256, 8), (8, 1024), (16, 64), (64, 64), (128, 96)])
def test_no_singular_value_runs_away_whatever_the_shape(shape: tuple[int, int]) -> None:
    drawn = torch.randn(100, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.linalg.svdvals(orthogonalize(drawn).float()).max() < 1.25


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_nor_does_one_of_a_gradient_of_low_rank(rank: int) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(10, 96, rank, generator=generator) @ torch.randn(10, rank, 64, generator=generator)
    singular_values = torch.linalg.svdvals(orthogonalize(drawn).float())
    assert singular_values.max() < 1.25
    assert singular_values[:, :rank].min() > 0.7


@pytest.mark.parametrize(("name", "n_fused"), [("query_key_value", 3), ("key_value", 2), ("output", 1)])
def test_matrices_in_one_parameter_are_orthogonalized_one_by_one(name: str, n_fused: int) -> None:
    torch.manual_seed(0)
    model = torch.nn.Module()
    model.blocks = torch.nn.ModuleList([torch.nn.ModuleDict({name: torch.nn.Linear(16, 16 * n_fused, bias=False)})])
    (weight,) = model.parameters()
    before = weight.detach().clone()
    weight.grad = torch.randn_like(weight) * torch.tensor([1.0, 30.0, 900.0][:n_fused]).repeat_interleave(16)[:, None]
    ModelOptimizer(model, MUON.model_copy(update={"weight_decay": 0.0})).step(1.0)
    for moved in ((before - weight.detach()) / MUON.learning_rate).chunk(n_fused):
        assert 0.5 < torch.linalg.svdvals(moved)[:8].min() <= torch.linalg.svdvals(moved).max() < 1.25


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
