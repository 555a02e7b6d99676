"""Filters, penalty and samples against their plain formulas."""

import math

import pytest
import torch

from lmcore.generation.sampling import (
    apply_repetition_penalty,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    sample_by_inversion,
    sample_tokens,
    uniform_samples,
)
from tests.lmcore.generation.toy_models import settings

N_TOKENS = 23


def draw_logits(seed: int = 0, n_rows: int = 4, n_tokens: int = N_TOKENS) -> torch.Tensor:
    return torch.randn(n_rows, n_tokens, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("k", [1, 3, N_TOKENS, 100])
def test_top_k_keeps_k_tokens(k: int) -> None:
    for row, kept in zip(draw_logits(), keep_top_k(draw_logits(), k), strict=True):
        most_probable = sorted(range(N_TOKENS), key=lambda token: -row[token])[:k]
        assert set(kept.isfinite().nonzero().flatten().tolist()) == set(most_probable)


def test_a_top_p_of_one_keeps_every_token() -> None:
    logits = 1.5 * draw_logits(n_rows=50, n_tokens=4096)
    assert torch.equal(keep_top_p(logits, 1.0), logits)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("n_tokens", [N_TOKENS, 700])
def test_top_p_keeps_the_fewest_tokens_that_reach_p(p: float, n_tokens: int) -> None:
    logits = draw_logits(n_tokens=n_tokens)
    for row, kept in zip(logits.softmax(-1), keep_top_p(logits, p).isfinite(), strict=True):
        wanted, total = set(), 0.0
        for token in sorted(range(n_tokens), key=lambda token: -row[token]):
            if total >= p:
                break
            wanted.add(token)
            total += float(row[token])
        assert set(kept.nonzero().flatten().tolist()) == wanted


@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
def test_min_p_keeps_tokens_at_least_that_fraction_as_probable_as_the_most_probable_one(p: float) -> None:
    probabilities = draw_logits().softmax(-1)
    kept = keep_min_p(draw_logits(), p).isfinite()
    assert torch.equal(kept, probabilities >= p * probabilities.max(dim=-1, keepdim=True).values)
    assert kept.any(dim=-1).all()


def test_the_penalty_divides_positive_logits_of_used_tokens_and_multiplies_negative_ones() -> None:
    logits, is_used = draw_logits(), draw_logits(1) > 0
    for row, used, penalized in zip(logits, is_used, apply_repetition_penalty(logits, is_used, 1.3), strict=True):
        for token in range(N_TOKENS):
            value = float(row[token])
            wanted = value if not used[token] else value / 1.3 if value > 0 else value * 1.3
            assert float(penalized[token]) == pytest.approx(wanted)


def test_draws_follow_the_distribution_and_never_take_what_has_no_probability() -> None:
    logits = keep_top_k(draw_logits(n_rows=1), 6)
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    counts = torch.bincount(sample_by_inversion(logits.expand(100_000, -1), uniform), minlength=N_TOKENS)
    torch.testing.assert_close(counts / 100_000, logits[0].softmax(-1), rtol=0.0, atol=2e-5)
    assert counts[~logits[0].isfinite()].sum() == 0
    assert torch.isfinite(logits[0, sample_by_inversion(logits, torch.tensor([1 - 2**-53], dtype=torch.float64))])


def test_cuts_follow_each_other_each_on_what_the_one_before_left() -> None:
    logits = torch.tensor([[math.log(p) for p in (0.4, 0.3, 0.2, 0.1)]])
    # Three are left by top-k with shares 4/9, 3/9, 2/9; two of them reach 0.7.
    config = settings(temperature=1.0, top_k=3, top_p=0.7)
    points = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    assert {int(sample_tokens(logits, config, point[None])) for point in points} == {0, 1}


def test_a_low_temperature_takes_the_most_probable_token() -> None:
    config, points = settings(temperature=0.01), torch.linspace(0.001, 0.999, 4, dtype=torch.float64)
    logits = torch.tensor([[0.0, 1.0, 0.5]]).expand(4, -1)
    assert sample_tokens(logits, config, points).tolist() == [1] * 4


def test_uniform_draws_are_uniform_and_a_rows_own() -> None:
    rows = uniform_samples([[1, 2], [3], [1, 2]], 2_000, seed=5)
    assert torch.equal(rows[1], uniform_samples([[3]], 2_000, seed=5)[0])
    assert abs(float(torch.corrcoef(rows)[0, 2])) < 0.1
    assert rows.mean(dim=1).sub(0.5).abs().max() < 0.03
