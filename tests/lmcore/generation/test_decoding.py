"""Generation continues each prompt as if it were alone, and chooses and ends as it was told."""

import random
from collections import Counter

import pytest
import torch

from lmcore.generation import generate
from lmcore.generation.completion import Completion
from lmcore.generation.decoding import decode
from lmcore.generation.decoding_state import DecodingState
from lmcore.models.generative import CausalModel
from lmcore.models.sequence_to_sequence import SequenceToSequenceModel
from lmcore.models.state import RecurrentState
from tests.lmcore.generation.toy_models import make_recurrent, search_with_one_beam, settings
from tests.lmcore.models.encoder_decoder import test_encoder_decoder
from tests.lmcore.models.gpt.test_gpt import VOCABULARY, make_model

END = VOCABULARY.end_of_text_id
MODELS = {"gpt": make_model, "recurrent": lambda seed=0: make_recurrent(VOCABULARY, seed)}


@torch.no_grad()
def continue_slowly(model: CausalModel, prompt: list[int], n_tokens: int, *, penalty: float = 1.0) -> list[int]:
    """Greedy decoding that recomputes everything for every token."""
    tokens = prompt[:]
    while len(tokens) < len(prompt) + n_tokens:
        logits = model(torch.tensor([tokens]))[0, -1]
        for token in set(tokens) - {END}:
            logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
        chosen = int(logits.argmax())
        if chosen == END:
            break
        tokens.append(chosen)
    return tokens[len(prompt) :]


def draw_prompts(n_prompts: int, longest: int) -> list[list[int]]:
    chance = random.Random(0)
    return [[chance.randrange(3, VOCABULARY.size) for _ in range(chance.randint(1, longest))] for _ in range(n_prompts)]


def complete(
    model: CausalModel, prompts: list[list[int]], *, n_top_logprobs: int = 0, **changes: object
) -> list[Completion]:
    config = settings(**changes)
    with torch.inference_mode():
        state = DecodingState.from_prompts(model, prompts, config.max_new_tokens)
    answers = decode(state, prompts, config, model.vocabulary, n_top_logprobs=n_top_logprobs)
    return [candidates[0] for candidates in answers]


@pytest.mark.parametrize("kind", MODELS)
def test_fifty_prompts_of_different_length_are_continued_as_without_a_state_and_alone(kind: str) -> None:
    model, prompts = MODELS[kind](), draw_prompts(50, longest=6)
    expected = [continue_slowly(model, prompt, 6) for prompt in prompts]
    assert generate(model, prompts, settings()) == expected
    assert len({len(answer) for answer in expected}) > 1, "some answers have to end earlier than others"


@pytest.mark.parametrize("kind", MODELS)
def test_a_sample_depends_on_its_prompt_and_the_seed_not_on_its_batch(kind: str) -> None:
    model, prompts = MODELS[kind](), draw_prompts(8, longest=6)
    together = generate(model, prompts, settings(temperature=1.0))
    assert together == [generate(model, [prompt], settings(temperature=1.0))[0] for prompt in prompts]
    assert together == generate(model, prompts[::-1], settings(temperature=1.0))[::-1]
    assert together != generate(model, prompts, settings(temperature=1.0, seed=2))


def test_copies_of_a_prompt_are_answered_differently() -> None:
    answers = generate(make_model(), [[3, 4]] * 10, settings(temperature=1.0))
    assert len(set(map(tuple, answers))) > 5


def test_a_prompt_longer_than_the_context_keeps_its_end() -> None:
    model, prompt = make_model(), list(range(1, 20))
    assert generate(model, [prompt], settings()) == [continue_slowly(model, prompt[-6:], 6)]


def test_an_empty_prompt_is_the_start_of_a_document() -> None:
    model = make_model()
    assert generate(model, [[]], settings()) == generate(model, [[END]], settings())


def test_an_answer_that_fills_the_whole_context_is_refused() -> None:
    with pytest.raises(ValueError, match="max_new_tokens 12 leaves no room"):
        generate(make_model(), [[1]], settings(max_new_tokens=12))


def test_stop_strings_need_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="use Generator"):
        generate(make_model(), [[1]], settings(stop_strings=("a",)))


def test_no_prompt_gives_no_answer() -> None:
    assert generate(make_model(), [], settings()) == []


@pytest.mark.parametrize("kind", MODELS)
def test_an_answer_ends_before_a_stop_token_or_the_end_token_or_at_its_length(kind: str) -> None:
    model, prompts = MODELS[kind](), draw_prompts(50, longest=6)
    free = complete(model, prompts)
    ((stop, _),) = Counter(token for answer in free for token in answer.tokens).most_common(1)
    for answer, whole in zip(complete(model, prompts, stop_token_ids=(stop,)), free, strict=True):
        if stop in whole.tokens:
            assert (answer.tokens, answer.finish_reason) == (whole.tokens[: whole.tokens.index(stop)], "stop")
        else:
            assert (answer.tokens, answer.finish_reason) == (whole.tokens, whole.finish_reason)
    assert {answer.finish_reason for answer in free} == {"end_of_text", "length"}
    assert all((len(answer.tokens) == 6) == (answer.finish_reason == "length") for answer in free)


@pytest.mark.parametrize("changes", [{}, {"temperature": 1.5, "top_k": 5}, {"num_beams": 3}])
def test_log_probabilities_are_the_models_own(changes: dict[str, object]) -> None:
    model, prompts = make_model(), draw_prompts(5, longest=5)
    for prompt, answer in zip(prompts, complete(model, prompts, n_top_logprobs=3, **changes), strict=True):
        chosen = answer.tokens + [END] * (answer.finish_reason == "end_of_text")
        with torch.no_grad():
            logits = model(torch.tensor([prompt + chosen[:-1]]))[0, len(prompt) - 1 :]
        expected = logits.log_softmax(dim=-1)
        torch.testing.assert_close(
            torch.tensor(answer.logprobs), expected[range(len(chosen)), chosen], rtol=1e-3, atol=1e-4
        )
        assert [set(position.tokens) for position in answer.top_logprobs] == [
            set(row.topk(3).indices.tolist()) for row in expected
        ]


@pytest.mark.parametrize("kind", MODELS)
def test_a_repetition_penalty_lowers_the_tokens_of_prompt_and_answer(kind: str) -> None:
    model, prompts = MODELS[kind](), draw_prompts(30, longest=6)
    answers = generate(model, prompts, settings(repetition_penalty=1.4))
    assert answers == [continue_slowly(model, prompt, 6, penalty=1.4) for prompt in prompts]
    assert answers != generate(model, prompts, settings())


class Copier(SequenceToSequenceModel):
    """A model with a source: writes it out backwards, token for token, and then ends."""

    max_position_embeddings, device = 10, torch.device("cpu")
    loss = features = flops_per_token = feature_flops_per_token = target_logits = None  # never called

    def __init__(self) -> None:
        super().__init__(None, VOCABULARY)

    def new_state(self, source: torch.Tensor) -> RecurrentState:
        return RecurrentState({"source": source})

    def next_logits(self, tokens: torch.Tensor, *, mask: None, state: RecurrentState) -> torch.Tensor:
        assert tokens.size(1) == 1
        logits = torch.zeros(len(tokens), VOCABULARY.size)
        for row, source in enumerate(state.tensors["source"].tolist()):
            left = [token for token in source if token != VOCABULARY.padding_id][::-1][state.length :]
            logits[row, left[0] if left else END] = 5.0
        state.length += 1
        return logits


@pytest.mark.parametrize("changes", [{}, {"num_beams": 3}])
def test_a_model_that_reads_a_source_is_decoded_by_the_same_loop(changes: dict[str, object]) -> None:
    sources: list[list[int]] = [[5], [7, 8, 9], [11, 12], [4, 4, 4, 6]]
    state = DecodingState.from_prompts(Copier(), sources, 6)
    answers = decode(state, sources, settings(**changes), VOCABULARY)
    assert [candidates[0].tokens for candidates in answers] == [source[::-1] for source in sources]


@pytest.mark.parametrize("is_search", [False, True])
def test_an_encoder_decoder_writes_what_it_would_without_a_state_and_alone(*, is_search: bool) -> None:
    model = test_encoder_decoder.make_model()
    vocabulary, chance = model.vocabulary, random.Random(0)
    sources = [[], *([chance.randrange(3, vocabulary.size) for _ in range(chance.randint(1, 12))] for _ in range(19))]
    state = DecodingState.from_prompts(model, sources, 6)
    if is_search:
        answers = search_with_one_beam(state, sources, settings(), vocabulary, length_penalty=0.0)
    else:
        answers = decode(state, sources, settings(), vocabulary)
    for source, candidates in zip(sources, answers, strict=True):
        written = [vocabulary.end_of_text_id]
        while len(written) < 7:
            with torch.no_grad():
                state = model.new_state(torch.tensor([source or [vocabulary.end_of_text_id]]))
                written.append(int(model(torch.tensor([written]), state=state)[0, -1].argmax()))
            if written[-1] == vocabulary.end_of_text_id:
                break
        assert candidates[0].tokens == [token for token in written if token != vocabulary.end_of_text_id]
