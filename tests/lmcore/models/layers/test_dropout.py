import torch

from lmcore.models.layers.dropout import Dropout


def test_the_seed_decides_and_evaluation_drops_nothing() -> None:
    layer, hidden, drawn = Dropout(0.5), torch.ones(100), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(layer(hidden))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert layer.eval()(hidden) is hidden
