"""Beam search against the enumeration of all answers, and against greedy decoding."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from lmcore.config.models import NgramConfig
from lmcore.generation import generate
from lmcore.generation.beam_search import normalized_score
from lmcore.generation.decoding import decode
from lmcore.generation.decoding_state import DecodingState
from lmcore.models.generative import CausalModel
from lmcore.models.ngram.model import NgramModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.generation.test_decoding import MODELS, draw_prompts
from tests.lmcore.generation.toy_models import make_recurrent, search_with_one_beam, settings
from tests.lmcore.models.small_models import make_model as make_small_model

SMALL = Vocabulary(size=5, end_of_text_id=0, padding_id=1, mask_id=2)
LENGTH = 4


@torch.no_grad()
def all_answers(model: CausalModel, prompt: list[int], length_penalty: float) -> list[tuple[float, list[int]]]:
    """Every answer of at most ``LENGTH`` tokens with its score, best first."""
    answers = {}
    for tokens in product(range(SMALL.size), repeat=LENGTH):
        chosen = list(tokens[: tokens.index(0) + 1] if 0 in tokens else tokens)
        log_probabilities = model(torch.tensor([prompt + chosen[:-1]]))[0, len(prompt) - 1 :].log_softmax(-1)
        total = float(log_probabilities[range(len(chosen)), chosen].sum())
        answers[tuple(chosen)] = total / ((5 + len(chosen)) / 6) ** length_penalty
    return sorted(((score, [token for token in chosen if token]) for chosen, score in answers.items()), reverse=True)


def search(model: CausalModel, prompts: list[list[int]], **changes: object) -> list[list[list[int]]]:
    config = settings(max_new_tokens=LENGTH, **changes)
    with torch.inference_mode():
        state = DecodingState.from_prompts(model, prompts, LENGTH)
    answers = decode(state, prompts, config, model.vocabulary)
    return [[completion.tokens for completion in candidates] for candidates in answers]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0, -1.0])
def test_a_beam_as_wide_as_the_tree_finds_the_best_answers_of_all(length_penalty: float) -> None:
    model, prompts = make_recurrent(SMALL, seed=1), [[3], [4, 3, 4], [2, 2]]
    found = search(model, prompts, num_beams=SMALL.size**LENGTH, length_penalty=length_penalty)
    for prompt, answers in zip(prompts, found, strict=True):
        assert answers[:20] == [tokens for _, tokens in all_answers(model, prompt, length_penalty)[:20]]


def test_a_narrow_beam_finds_answers_no_better_than_the_best_and_no_worse_than_greedy_ones() -> None:
    prompts = [[3], [4, 3, 4], [2, 2], [4], [3, 3]]
    n_better = 0
    for seed in range(6):
        model = make_recurrent(SMALL, seed)
        greedy = generate(model, prompts, settings(max_new_tokens=LENGTH))
        for prompt, found, greedy_tokens in zip(prompts, search(model, prompts, num_beams=3), greedy, strict=True):
            scores = {tuple(tokens): score for score, tokens in all_answers(model, prompt, 0.0)}
            best = max(scores.values())
            assert scores[tuple(greedy_tokens)] - 1e-5 <= scores[tuple(found[0])] <= best
            n_better += scores[tuple(found[0])] > scores[tuple(greedy_tokens)] + 1e-5
    assert n_better > 0


@pytest.mark.parametrize("family", ["gpt", "gpt2", "llama", "encoder_decoder", "t5", "recurrent", "ngram"])
@pytest.mark.parametrize("is_padded", [False, True])
@torch.inference_mode()
def test_continuations_that_share_a_text_are_read_as_if_each_were_alone(family: str, is_padded: bool) -> None:
    model, state, texts = make_state(family, is_padded=is_padded)
    chance = torch.Generator().manual_seed(2)
    for position in range(6):
        if position == 0:
            state.fork(3)
            rows = torch.arange(9)
        else:
            # One of the texts leaves, and comes back in another one's place.
            prompts = torch.tensor([[0, 1, 2], [2, 0, 1], [1, 1, 0]])[position % 3]
            rows = (prompts[:, None] * 3 + torch.randint(3, (3, 3), generator=chance)).flatten()
            state.select(rows)
        chosen = torch.randint(3, model.vocabulary.size, (9,), generator=chance)
        state.advance(chosen)
        before = [text for text in texts for _ in range(3)] if position == 0 else texts
        texts = [[*before[row], int(token)] for row, token in zip(rows, chosen, strict=True)]
    for logits, text in zip(state.logits, texts, strict=True):
        torch.testing.assert_close(logits, logits_alone(model, text), rtol=1e-4, atol=1e-4)


def make_state(family: str, *, is_padded: bool) -> tuple[Any, DecodingState, list[list[int]]]:
    """A model, three texts that it has begun to read, and the texts; those of an encoder-decoder begin with sources."""
    prompts = [[3, 4, 3], [4, 3, 3] if not is_padded else [4], [3, 3, 4]]
    if family in ("encoder_decoder", "t5"):
        model = make_small_model(family)
        start = model.decoder_start_id
        return model, DecodingState.from_prompts(model, prompts, 7), [[*prompt, -1, start] for prompt in prompts]
    if family == "ngram":
        model: Any = NgramModel(NgramConfig(family="ngram", order=3), SMALL)
        model.fit(np.array([3, 4, 3, 3, 4, 4, 3, 0]), np.array([0, 8]))
    elif family == "recurrent":
        model = make_recurrent(SMALL, seed=1)
    else:
        model = make_small_model(family)
    return model, DecodingState.from_prompts(model, prompts, 7), prompts


def logits_alone(model: Any, text: list[int]) -> torch.Tensor:
    if -1 in text:
        source, target = text[: text.index(-1)], text[text.index(-1) + 1 :]
        return model.next_logits(torch.tensor([target]), state=model.new_state(torch.tensor([source])))[0]
    return model(torch.tensor([text]))[0, -1]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("repetition_penalty", [1.0, 1.5])
def test_one_beam_is_greedy_decoding(kind: str, length_penalty: float, repetition_penalty: float) -> None:
    model, prompts = MODELS[kind](), draw_prompts(20, longest=5)
    config = settings(repetition_penalty=repetition_penalty)
    model.eval()
    with torch.inference_mode():
        state = DecodingState.from_prompts(model, prompts, config.max_new_tokens)
    answers = search_with_one_beam(state, prompts, config, model.vocabulary, length_penalty)
    assert [candidates[0].tokens for candidates in answers] == generate(model, prompts, config)


def test_prompts_are_searched_as_if_each_were_alone() -> None:
    model, prompts = MODELS["gpt"](), draw_prompts(10, longest=5)
    assert search(model, prompts, num_beams=4) == [search(model, [prompt], num_beams=4)[0] for prompt in prompts]


def test_a_larger_length_penalty_prefers_longer_answers() -> None:
    assert normalized_score(-6.0, 7, 0.0) == -6.0
    assert normalized_score(-6.0, 7, 1.0) == pytest.approx(-3.0)
    model, prompts = make_recurrent(SMALL, seed=1), [[3], [4, 3, 4], [2, 2], [4]]
    lengths = [
        sum(len(answers[0]) for answers in search(model, prompts, num_beams=50, length_penalty=penalty))
        for penalty in (-2.0, 0.0, 3.0)
    ]
    assert lengths[0] < lengths[2]
    assert lengths == sorted(lengths)
