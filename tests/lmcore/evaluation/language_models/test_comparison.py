"""Language models compared: bits by definition, the same for every model, and an interpolation that helps."""

from collections.abc import Sequence

import numpy as np
import pytest

from lmcore.evaluation.language_models.baselines import NgramBaselines
from lmcore.evaluation.language_models.comparison import LanguageModelComparison, compare_language_models
from lmcore.evaluation.language_models.likelihood import HeldOutDocuments
from lmcore.models.generative import TokenScores
from lmcore.models.ngram.kneser_ney import KneserNey
from tests.lmcore.evaluation.evaluation_settings import CONFIG

VOCABULARY_SIZE, END = 12, 0


class UniformScorer:
    """A model that predicts every token with the same probability."""

    def score(self, documents: tuple[np.ndarray, ...]) -> TokenScores:
        values = np.full(sum(map(len, documents)), -np.log(VOCABULARY_SIZE))
        return TokenScores(values, values)


def draw_documents(seed: int, n_documents: int) -> HeldOutDocuments:
    """Documents in which most tokens are one more than the token before."""
    generator = np.random.default_rng(seed)
    tokens = []
    for _ in range(n_documents):
        steps = np.where(generator.random(generator.integers(5, 12)) < 0.9, 1, generator.integers(0, 11))
        tokens.append(np.append(1 + np.cumsum(steps) % (VOCABULARY_SIZE - 1), END))
    ids = tuple(str(number) for number in range(n_documents))
    return HeldOutDocuments(ids, tuple(tokens), *2 * [np.array([3 * len(own) for own in tokens])])


def as_text(tokens: Sequence[int]) -> str:
    return "".join(f"{token:x}" for token in tokens)


@pytest.fixture(scope="module")
def held_out() -> HeldOutDocuments:
    return draw_documents(2, 10)


@pytest.fixture(scope="module")
def comparison(held_out: HeldOutDocuments) -> LanguageModelComparison:
    training = draw_documents(0, 200)
    ngram = KneserNey.train(
        np.concatenate(training.tokens),
        np.cumsum([0, *training.n_tokens]),
        order=2,
        vocabulary_size=VOCABULARY_SIZE,
        start_token=END,
    )
    return compare_language_models(
        UniformScorer(),  # type: ignore[arg-type]
        NgramBaselines({"ngram": ngram}, ngram, is_whole_split_seen=True),
        validation=draw_documents(1, 20),
        test=held_out,
        is_clean=np.arange(10) < 6,
        sources=["books"] * 4 + ["news"] * 6,
        config=CONFIG,
    )


def test_a_uniform_model_needs_the_logarithm_of_the_vocabulary_size_per_token(comparison, held_out):
    own = comparison.metrics.models["model"]
    assert own["perplexity"].value == pytest.approx(VOCABULARY_SIZE)
    assert own["bits_per_byte"].value == pytest.approx(np.log2(VOCABULARY_SIZE) / 3)
    assert comparison.metrics.counts["n_tokens"] == held_out.n_tokens.sum()
    assert comparison.metrics.counts["n_documents_clean"] == 6


def test_each_source_is_measured_on_its_own_documents(comparison, held_out):
    found = comparison.metrics.by_source
    assert set(found) == {"books", "news"}
    bits = comparison.bits["ngram"]
    expected = bits[:4].sum() / held_out.n_bytes[:4].sum()
    assert found["books"].models["ngram"]["bits_per_byte"].value == pytest.approx(expected)
    assert found["news"].counts["n_documents"] == 6
    assert "bits_per_byte" in found["news"].differences["model_minus_ngram"]


def test_differences_are_those_of_the_metrics(comparison):
    models = comparison.metrics.models
    difference = comparison.metrics.differences["model_minus_ngram"]["bits_per_byte"]
    expected = models["model"]["bits_per_byte"].value - models["ngram"]["bits_per_byte"].value
    assert difference.value == pytest.approx(expected)
    assert difference.low > 0  # the n-gram model has learned the pattern


def test_the_interpolation_trusts_the_better_model_and_its_weights_cover_all_tokens(comparison):
    bits = {name: own["bits_per_byte"].value for name, own in comparison.metrics.models.items()}
    assert bits["interpolation"] < 1.1 * bits["ngram"]
    table = comparison.interpolation
    assert table.fractions.sum() == pytest.approx(1)
    assert np.nansum(table.weights * table.fractions) < 0.5
    assert None not in [cell for row in table.as_json()["fractions"] for cell in row]


def test_the_surprisal_of_a_sampled_document_is_that_of_its_tokens_without_the_end(comparison, held_out):
    config = CONFIG.report.model_copy(update={"max_document_tokens": 12})
    shown = comparison.sample_surprisal(held_out, lambda tokens: "".join(f"{token:x}" for token in tokens), config, 0)
    for key, spans in shown:
        tokens = held_out.tokens[held_out.ids.index(key)]
        assert "".join(span["text"] for span in spans) == as_text(tokens[:-1])
        total = sum(span["bits"]["model"] for span in spans)
        assert total == pytest.approx((len(tokens) - 1) * np.log2(VOCABULARY_SIZE), abs=0.01)
    assert shown
