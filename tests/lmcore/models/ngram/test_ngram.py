"""The n-gram model as a causal model: the same probabilities, in generation and evaluation as well."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.config.evaluate import LikelihoodConfig
from lmcore.config.models import NgramConfig
from lmcore.evaluation.language_models.scoring import NeuralScorer
from lmcore.generation import generate
from lmcore.models.ngram.model import NgramModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.generation.toy_models import settings

VOCABULARY = Vocabulary(size=11, end_of_text_id=0, padding_id=1, mask_id=2)


def draw_documents(seed: int, n_documents: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 9)
    return [
        np.append(3 + generator.choice(8, generator.integers(1, 15), p=shares / shares.sum()), 0)
        for _ in range(n_documents)
    ]


def make_model(order: int = 3) -> NgramModel:
    model = NgramModel(NgramConfig(family="ngram", order=order), VOCABULARY)
    documents = draw_documents(0, 60)
    model.fit(np.concatenate(documents), np.cumsum([0, *map(len, documents)]))
    return model.eval()


def as_tokens(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_log_probabilities_are_those_of_the_counts(order: int) -> None:
    model, document = make_model(order), draw_documents(1, 1)[0]
    inputs = torch.from_numpy(np.append(0, document[:-1])).unsqueeze(0)
    ours = model(inputs)[0]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.exp().sum(dim=1), torch.ones(len(document)))
    chosen = ours.gather(1, torch.from_numpy(document).unsqueeze(1))[:, 0]
    np.testing.assert_allclose(chosen, model.score_documents([document]).log_probabilities, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 3])
def test_a_carried_state_gives_what_the_whole_sequence_gives(order: int) -> None:
    model, tokens = make_model(order), as_tokens([3, 4, 3, 5, 3, 4], [5, 3, 3, 4, 0, 6])
    state = model.new_state(2)
    parts = [model(part, state=state) for part in tokens.split([3, 1, 2], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens))
    assert state.length == 6


def test_the_next_log_probabilities_are_the_last_of_all() -> None:
    model, tokens = make_model(), as_tokens([3, 4, 3], [5, 3, 3])
    state = model.new_state(2)
    assert torch.equal(model.next_logits(tokens, state=state), model(tokens)[:, -1])
    state.select(torch.tensor([1, 1, 0]))
    more = as_tokens([4], [6], [4])
    expected = model(torch.cat((tokens[[1, 1, 0]], more), dim=1))[:, -1]
    torch.testing.assert_close(model.next_logits(more, state=state), expected)


def test_left_padded_prompts_are_continued_as_if_each_were_alone() -> None:
    model = make_model()
    padded = model(as_tokens([3, 4, 3], [0, 5, 3]), mask=torch.tensor([[True] * 3, [False, True, True]]))
    torch.testing.assert_close(padded[1, 1:], model(as_tokens([5, 3]))[0])
    config = settings(max_new_tokens=6)
    prompts = [[3, 4, 5, 6], [6], [4, 5]]
    assert generate(model, prompts, config) == [generate(model, [prompt], config)[0] for prompt in prompts]


def test_evaluation_as_a_causal_model_gives_the_scores_of_the_counts() -> None:
    model, documents = make_model(), draw_documents(2, 5)
    judge = NeuralScorer(
        model,
        config=LikelihoodConfig(
            max_documents=5,
            context="document",
            max_masked_documents=1,
            max_masked_tokens=1,
            window_stride_tokens=4,
            batch_tokens=12,
        ),
    )
    scores = judge.score(documents)
    np.testing.assert_allclose(scores.log_probabilities, model.score_documents(documents).log_probabilities, rtol=1e-5)


def test_saved_counts_are_the_same_model_and_fit_no_other(tmp_path: Path) -> None:
    model, tokens = make_model(), as_tokens([3, 4, 3])
    path = tmp_path / "weights.safetensors"
    model.save_weights(path)
    loaded = NgramModel(model.config, VOCABULARY)
    loaded.load_weights(path)
    assert torch.equal(loaded(tokens), model(tokens))
    with pytest.raises(ValueError, match=r"are \(3, 11, 0\), not \(2, 11, 0\)"):
        NgramModel(NgramConfig(family="ngram", order=2), VOCABULARY).load_weights(path)


def test_a_model_that_has_counted_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="is not fitted yet"):
        NgramModel(NgramConfig(family="ngram", order=2), VOCABULARY)(as_tokens([3]))
