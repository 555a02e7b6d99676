"""Drafts change how often a model is called, and nothing else."""

import random

import pytest
import torch

from lmcore.generation import decoding, generate, speculative
from lmcore.generation.decoding_state import DecodingState
from lmcore.generation.drafts import Drafts
from lmcore.generation.generator import Completion
from lmcore.models.generative import CausalModel
from lmcore.models.lora import add_lora
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.small_models import VOCABULARY, make_model, perturb

PROMPTS = [[3, 4, 5, 3, 4], [7], list(range(3, 20))]
WAYS: dict[str, dict[str, object]] = {
    "greedy": {},
    "penalty": {"repetition_penalty": 1.3},
    "sampling": {"temperature": 0.5, "top_k": 5},
    "stop": {"stop_token_ids": (5, 6)},
}


def make_causal(family: str) -> CausalModel:
    model = make_model(family, max_position_embeddings=64)
    assert isinstance(model, CausalModel)
    return model


def complete(model: CausalModel, prompt: list[int], **changes: object) -> Completion:
    config = settings(**({"max_new_tokens": 16} | changes))
    with torch.inference_mode():
        state = DecodingState.from_prompts(model, [prompt], config.max_new_tokens)
        return decoding.decode(state, [prompt], config, model.vocabulary, n_top_logprobs=2)[0][0]


def without_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drafts, "draft", lambda _drafts, _max_tokens: [])


@pytest.mark.parametrize("family", ["gpt", "gpt2", "llama"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("drafts", ["looked up", "random", "always close calls"])
def test_answers_are_the_same_with_drafts_as_without(
    family: str, way: str, drafts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, chance = make_causal(family), random.Random(0)
    if drafts == "random":

        def draw(_drafts: Drafts, room: int) -> list[int]:
            return [chance.randrange(VOCABULARY.size) for _ in range(min(5, room))]

        monkeypatch.setattr(Drafts, "draft", draw)
    if drafts == "always close calls":
        monkeypatch.setattr(speculative, "CLOSE_CALL", 1e9)
    found = [complete(model, prompt, **WAYS[way]) for prompt in PROMPTS]
    without_drafts(monkeypatch)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        plain = complete(model, prompt, **WAYS[way])
        assert answer.tokens == plain.tokens
        assert answer.finish_reason == plain.finish_reason
        torch.testing.assert_close(answer.logprobs, plain.logprobs, rtol=1e-4, atol=1e-4)


def test_a_repetitive_text_takes_fewer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_causal("gpt")
    n_passes = []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda *args, **named: n_passes.append(1) or forward(*args, **named))
    answer = complete(model, [9, 9, 9, 9])
    assert len(answer.tokens) > 12
    assert len(n_passes) < len(answer.tokens) / 2


def test_drafts_stay_within_the_context() -> None:
    model = make_causal("gpt")
    prompt = [5] * 24
    answer = generate(model, [prompt], settings(max_new_tokens=40))[0]
    assert len(prompt) + len(answer) <= 64


def test_bfloat16_is_too_coarse_for_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_causal("gpt")
    model.compute_in(torch.bfloat16)
    answer = complete(model, [9, 9, 9, 9])
    without_drafts(monkeypatch)
    assert answer == complete(model, [9, 9, 9, 9])


def test_a_text_that_is_forked_after_drafts_has_read_only_what_is_written() -> None:
    model = make_causal("gpt")
    with torch.inference_mode():
        state = DecodingState.from_prompts(model, [[9, 9, 9, 9]], 10)
        state.advance(torch.tensor([9]))
        assert state.needs_reread
        state.fork(2)
        state.advance(torch.tensor([9, 8]))
        expected = model(torch.tensor([[9] * 6, [9] * 5 + [8]]))[:, -1]
    torch.testing.assert_close(state.logits, expected, rtol=1e-4, atol=1e-4)


def test_a_model_with_adapters_is_read_with_drafts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_causal("gpt")
    add_lora(model, rank=2, alpha=4.0, dropout=0.0, generator=torch.Generator().manual_seed(0))
    perturb(parameter for parameter in model.parameters() if parameter.requires_grad)
    answer = complete(model.eval(), [9, 9, 9, 9])
    without_drafts(monkeypatch)
    assert answer.tokens == complete(model, [9, 9, 9, 9]).tokens
