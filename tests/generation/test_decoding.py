"""Generation continues each prompt as if it were alone, and chooses as it was told."""

import pytest
import torch

from lmcore.generation import generate
from lmcore.generation.sampling import keep_top_k, keep_top_p
from lmcore.models.gpt import GPT
from tests.generation.toy_models import settings
from tests.models.test_gpt import VOCABULARY, make_model

END = 0


def continue_slowly(model: GPT, prompt: list[int], n_tokens: int) -> list[int]:
    """Greedy decoding that recomputes everything for every token."""
    tokens = prompt[:]
    while len(tokens) < len(prompt) + n_tokens:
        chosen = int(model(torch.tensor([tokens]))[0, -1].argmax())
        if chosen == END:
            break
        tokens.append(chosen)
    return tokens[len(prompt) :]


@pytest.mark.parametrize("seed", range(5))
def test_prompts_of_different_length_are_continued_as_if_alone(seed: int) -> None:
    model = make_model(seed)
    prompts = [[3], [5, 2, 9, 4], [8, 1], [7, 7, 7, 2, 11, 19]]
    expected = [continue_slowly(model, prompt, 6) for prompt in prompts]
    assert generate(model, prompts, settings()) == expected


def test_sampling_depends_on_the_seed_alone() -> None:
    model, prompts = make_model(), [[3, 4], [5]]
    first, again, other = (generate(model, prompts, settings(temperature=1.0, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_prompt_longer_than_the_context_keeps_its_end() -> None:
    model, prompt = make_model(), list(range(1, 20))
    assert generate(model, [prompt], settings()) == [continue_slowly(model, prompt[-6:], 6)]


def test_an_answer_that_fills_the_whole_context_is_refused() -> None:
    with pytest.raises(ValueError, match="max_tokens 12 leaves no room"):
        generate(make_model(), [[1]], settings(max_tokens=12))


def test_no_prompt_gives_no_answer() -> None:
    assert generate(make_model(), [], settings()) == []


@pytest.mark.parametrize("k", [1, 3, VOCABULARY.size, 100])
def test_top_k_keeps_k_tokens(k: int) -> None:
    logits = torch.randn(4, VOCABULARY.size, generator=torch.Generator().manual_seed(0))
    assert keep_top_k(logits, k).isfinite().sum(dim=-1).tolist() == [min(k, VOCABULARY.size)] * 4


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 1.0])
def test_top_p_keeps_the_fewest_tokens_that_reach_p(p: float) -> None:
    logits = torch.randn(4, VOCABULARY.size, generator=torch.Generator().manual_seed(0)) * 2
    for row, kept in zip(logits.softmax(-1), keep_top_p(logits, p).isfinite(), strict=True):
        n_needed = int((row.sort(descending=True).values.cumsum(0) < p).sum()) + 1
        assert int(kept.sum()) == min(n_needed, VOCABULARY.size)
        assert row[kept].min() >= row[~kept].max() if not kept.all() else True
