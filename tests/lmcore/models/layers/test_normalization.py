"""Root-mean-square normalization is its formula, in the dtype of its input."""

import torch

from lmcore.models.layers.normalization import RMSNorm


def test_features_are_divided_by_their_root_mean_square_and_scaled() -> None:
    norm, features = RMSNorm(6, eps=0.1), torch.randn(3, 4, 6)
    torch.nn.init.normal_(norm.weight)
    expected = features / (features.square().mean(dim=-1, keepdim=True) + 0.1).sqrt() * norm.weight
    torch.testing.assert_close(norm(features), expected)
    assert norm(features.bfloat16()).dtype == torch.bfloat16
    assert "eps=0.1" in str(norm)
