"""Language models side by side on the same held-out documents: neural, n-gram, and their mixture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmcore.evaluation.bootstrap import Bootstrap, Floats
from lmcore.evaluation.cache import Cache
from lmcore.evaluation.config import CacheConfig, EvaluateConfig, InterpolationConfig
from lmcore.evaluation.interpolation import Classes, ContextClasses, Interpolation
from lmcore.evaluation.likelihood import HeldOutDocuments, LikelihoodMeasures, bits_of
from lmcore.evaluation.neural import Judge, NeuralScores
from lmcore.models.ngram import KneserNey, NgramScores

NEURAL, NGRAM, INTERPOLATION, NGRAM_ON_SEEN = "neural", "ngram", "interpolation", "ngram_on_seen_tokens"
MODELS = (NEURAL, NGRAM, INTERPOLATION, NGRAM_ON_SEEN)

COMPARISONS = ((INTERPOLATION, NEURAL), (INTERPOLATION, NGRAM), (NEURAL, NGRAM_ON_SEEN), (NEURAL, NGRAM))
"""Pairs whose difference is reported with an interval of its own."""


@dataclass(frozen=True)
class LanguageModelComparison:
    """What was found out about the test documents.

    Attributes:
        log_probabilities: per model, the natural logarithms (n_tokens,) of all test tokens.
        figures: nested, as in ``metrics.json``.
        mixture: how much the neural model counts in the mixture, by context.
    """

    log_probabilities: Mapping[str, Floats]
    figures: dict[str, Any]
    mixture: "MixtureTable"


@dataclass(frozen=True)
class MixtureTable:
    """The mean weight of the neural model over test tokens, and their share, by both models' confidence.

    Rows are how many tokens of context the n-gram model knows, columns levels of the neural model's confidence.
    """

    weights: Floats
    """(n_context_lengths, n_levels); NaN where no token falls."""
    shares: Floats
    """(n_context_lengths, n_levels), summing to 1."""


def compare_language_models(
    neural: Judge,
    ngram: KneserNey,
    ngram_on_seen: KneserNey,
    *,
    validation: HeldOutDocuments,
    test: HeldOutDocuments,
    config: EvaluateConfig,
) -> LanguageModelComparison:
    """Score the test documents with every model; the mixture's weights come from the validation documents.

    Args:
        neural: the trained model.
        ngram: an n-gram model of the whole training split.
        ngram_on_seen: one of exactly the tokens that the neural model was trained on.
        validation: documents on which the mixture is fitted.
        test: documents on which everything is measured.
        config: the section ``evaluate``.
    """
    cache = _cache(config.interpolation.cache, ngram.vocabulary_size)
    mixture = _Mixture.fit(
        neural.score(validation.texts),
        ngram.score(validation.texts),
        _remembered(cache, validation),
        config.interpolation,
    )
    neural_scores, ngram_scores = neural.score(test.texts), ngram.score(test.texts)
    log_probabilities = {
        NEURAL: neural_scores.log_probabilities,
        NGRAM: ngram_scores.log_probabilities,
        INTERPOLATION: mixture.log_probabilities(neural_scores, ngram_scores, _remembered(cache, test)),
        NGRAM_ON_SEEN: ngram_on_seen.score(test.texts).log_probabilities,
    }
    measures = LikelihoodMeasures(test, Bootstrap(len(test.ids), config.bootstrap, config.seed))
    bits = {model: bits_of(test, values) for model, values in log_probabilities.items()}
    return LanguageModelComparison(
        log_probabilities, _figures(measures, bits, test), mixture.table(neural_scores, ngram_scores, ngram.order)
    )


def _figures(measures: LikelihoodMeasures, bits: Mapping[str, Floats], test: HeldOutDocuments) -> dict[str, Any]:
    figures: dict[str, Any] = {
        model: {
            "bits_per_byte": measures.bits_per_byte(bits[model]).as_dict(),
            "perplexity": measures.perplexity(bits[model]).as_dict(),
        }
        for model in MODELS
    }
    figures["differences"] = {
        f"{model}_minus_{reference}": measures.bits_per_byte_difference(bits[model], bits[reference]).as_dict()
        for model, reference in COMPARISONS
    }
    figures["n_documents"] = len(test.ids)
    figures["n_tokens"] = int(test.n_tokens.sum())
    figures["n_bytes"] = int(test.n_bytes.sum())
    return figures


@dataclass(frozen=True)
class _Mixture:
    """Neural and n-gram model, and a cache where there is one, mixed by how sure the first two are."""

    classes: ContextClasses
    interpolation: Interpolation

    @classmethod
    def fit(
        cls, neural: NeuralScores, ngram: NgramScores, remembered: list[Floats], config: InterpolationConfig
    ) -> "_Mixture":
        features = _features(neural, ngram)
        classes = ContextClasses.fit(features, config.n_confidence_levels)
        interpolation = Interpolation.fit(
            _stack(neural, ngram, remembered),
            classes.classify(features),
            classes.n_classes,
            prior_tokens=config.prior_tokens,
        )
        return cls(classes, interpolation)

    def log_probabilities(self, neural: NeuralScores, ngram: NgramScores, remembered: list[Floats]) -> Floats:
        classes = self.classes.classify(_features(neural, ngram))
        return self.interpolation.log_probabilities(_stack(neural, ngram, remembered), classes)

    def table(self, neural: NeuralScores, ngram: NgramScores, order: int) -> MixtureTable:
        features = _features(neural, ngram)
        weights = self.interpolation.weights[self.classes.classify(features), 0]
        n_levels = self.classes.n_levels[0]
        levels = np.searchsorted(self.classes.bounds[0], features[0])
        cells: Classes = ngram.context_lengths * n_levels + levels
        counts = np.bincount(cells, minlength=order * n_levels).reshape(order, n_levels)
        sums = np.bincount(cells, weights, minlength=order * n_levels).reshape(order, n_levels)
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        return MixtureTable(means, counts / max(len(weights), 1))


def _features(neural: NeuralScores, ngram: NgramScores) -> Floats:
    """What decides the weights, (3, n_tokens): none of it depends on the token to predict."""
    return np.stack((neural.confidence, ngram.context_lengths.astype(np.float64), ngram.backoff))


def _stack(neural: NeuralScores, ngram: NgramScores, remembered: list[Floats]) -> Floats:
    return np.stack((neural.log_probabilities, ngram.log_probabilities, *remembered))


def _cache(config: CacheConfig | None, vocabulary_size: int) -> Cache | None:
    return None if config is None else Cache(vocabulary_size=vocabulary_size, **config.model_dump())


def _remembered(cache: Cache | None, documents: HeldOutDocuments) -> list[Floats]:
    """What a cache says of all tokens, if there is one; it forgets between texts."""
    if cache is None:
        return []
    return [np.concatenate([cache.log_probabilities(tokens) for tokens in documents.texts])]
