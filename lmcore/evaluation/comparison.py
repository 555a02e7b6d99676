"""Language models side by side on the same held-out documents: the trained one, n-gram models, and a mixture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import CacheConfig, EvaluateConfig, InterpolationConfig
from lmcore.evaluation.cache_model import CacheModel
from lmcore.evaluation.held_out_contamination import Flags, on_all_and_clean
from lmcore.evaluation.interpolation import Classes, ContextClasses, Interpolation
from lmcore.evaluation.intervals import Bootstrap, Floats
from lmcore.evaluation.likelihood import BitsPerUnit, HeldOutDocuments, bits_of
from lmcore.evaluation.names import INTERPOLATION, MODEL, NGRAM, NGRAM_ON_SEEN, SHORTER_NGRAM
from lmcore.evaluation.scoring import Scorer, TokenScores
from lmcore.models.ngram.kneser_ney import KneserNey, NgramScores

MODELS = (MODEL, NGRAM, SHORTER_NGRAM, INTERPOLATION, NGRAM_ON_SEEN)
"""In the order in which they are shown, as far as they are there."""

COMPARISONS = (
    (INTERPOLATION, MODEL),
    (INTERPOLATION, NGRAM),
    (MODEL, NGRAM_ON_SEEN),
    (MODEL, NGRAM),
    (MODEL, SHORTER_NGRAM),
)
"""Pairs whose difference is reported with an interval of its own."""


@dataclass(frozen=True)
class Baselines:
    """The n-gram models beside a trained one.

    Attributes:
        ngrams: by the names of :data:`MODELS`; the one called ``ngram`` is also mixed with the trained model.
        context: says how well the context of a token is known, which decides the weights of the mixture.
    """

    ngrams: Mapping[str, KneserNey]
    context: KneserNey


@dataclass(frozen=True)
class LanguageModelComparison:
    """What was found out about the test documents.

    Attributes:
        log_probabilities: per model, the natural logarithms (n_tokens,) of all test tokens.
        figures: nested, as in ``metrics.json``.
        mixture: how much the trained model counts in the mixture, by context; None where no n-gram model is mixed in.
    """

    log_probabilities: Mapping[str, Floats]
    figures: dict[str, Any]
    mixture: "MixtureTable | None"


@dataclass(frozen=True)
class MixtureTable:
    """The mean weight of the trained model over test tokens, and their share, by both models' confidence.

    Rows are how many tokens of context the n-gram model knows, columns levels of the trained model's confidence.
    """

    weights: Floats
    """(n_context_lengths, n_levels); NaN where no token falls."""
    shares: Floats
    """(n_context_lengths, n_levels), summing to 1."""


def compare_language_models(
    model: Scorer,
    baselines: Baselines,
    *,
    validation: HeldOutDocuments,
    test: HeldOutDocuments,
    is_clean: Flags,
    config: EvaluateConfig,
) -> LanguageModelComparison:
    """Score the test documents with every model; the mixture's weights come from the validation documents.

    Args:
        model: the trained model.
        baselines: n-gram models of the same corpus.
        validation: documents on which the mixture is fitted.
        test: documents on which everything is measured.
        is_clean: which of them share nothing with the training split, bool (n_documents,).
        config: the section ``evaluate``.
    """
    scores = _Scores.of(model, baselines, test, config.interpolation.cache)
    log_probabilities = {
        MODEL: scores.model.log_probabilities,
        **{name: ngram.score(test.texts).log_probabilities for name, ngram in baselines.ngrams.items()},
    }
    table = None
    if len(scores.mixed) > 1:
        fitted_on = _Scores.of(model, baselines, validation, config.interpolation.cache)
        mixture = _Mixture.fit(fitted_on, config.interpolation)
        log_probabilities[INTERPOLATION] = mixture.log_probabilities(scores)
        table = mixture.table(scores, baselines.context.order) if NGRAM in baselines.ngrams else None
    bits = {name: bits_of(test, log_probabilities[name]) for name in MODELS if name in log_probabilities}
    figures = on_all_and_clean(is_clean, lambda rows: _figures(bits, test, rows, config))
    return LanguageModelComparison(log_probabilities, figures, table)


def _figures(
    bits: Mapping[str, Floats], test: HeldOutDocuments, rows: npt.NDArray[np.int64], config: EvaluateConfig
) -> dict[str, Any]:
    some = test.some(rows)
    bootstrap = Bootstrap(len(rows), config.bootstrap, config.seed)
    per_byte, per_token = BitsPerUnit(some.n_bytes, bootstrap), BitsPerUnit(some.n_tokens, bootstrap)
    figures: dict[str, Any] = {
        name: {
            "bits_per_byte": per_byte.of(values[rows]).as_dict(),
            "perplexity": per_token.perplexity(values[rows]).as_dict(),
        }
        for name, values in bits.items()
    }
    figures["differences"] = {
        f"{name}_minus_{reference}": {
            "bits_per_byte": per_byte.difference(bits[name][rows], bits[reference][rows]).as_dict()
        }
        for name, reference in COMPARISONS
        if name in bits and reference in bits
    }
    sizes = {"n_tokens": int(some.n_tokens.sum()), "n_bytes": int(some.n_bytes.sum())}
    return figures | {"n_documents": len(rows)} | sizes


@dataclass(frozen=True)
class _Scores:
    """What is mixed, and what decides how, on some documents.

    Attributes:
        model: what the trained model says.
        context: what is known of the context.
        mixed: (n_models, n_tokens) natural logarithms of the trained model, the n-gram model and the cache, as far as
            there are any.
    """

    model: TokenScores
    context: NgramScores
    mixed: Floats

    @classmethod
    def of(
        cls, model: Scorer, baselines: Baselines, documents: HeldOutDocuments, cache: CacheConfig | None
    ) -> "_Scores":
        trained, context = model.score(documents.texts), baselines.context.score(documents.texts)
        ngram = [context.log_probabilities] if NGRAM in baselines.ngrams else []
        remembered = _remembered(_cache(cache, baselines.context.vocabulary_size), documents)
        return cls(trained, context, np.stack((trained.log_probabilities, *ngram, *remembered)))

    @property
    def features(self) -> Floats:
        """What decides the weights, (3, n_tokens): none of it depends on the token to predict."""
        return np.stack((self.model.confidence, self.context.context_lengths.astype(np.float64), self.context.backoff))


@dataclass(frozen=True)
class _Mixture:
    """A trained and an n-gram model, and a cache, as far as there are any, mixed by how sure the first two are."""

    classes: ContextClasses
    interpolation: Interpolation

    @classmethod
    def fit(cls, scores: _Scores, config: InterpolationConfig) -> "_Mixture":
        classes = ContextClasses.fit(scores.features, config.num_confidence_levels)
        interpolation = Interpolation.fit(
            scores.mixed, classes.classify(scores.features), classes.n_classes, prior_tokens=config.prior_tokens
        )
        return cls(classes, interpolation)

    def log_probabilities(self, scores: _Scores) -> Floats:
        return self.interpolation.log_probabilities(scores.mixed, self.classes.classify(scores.features))

    def table(self, scores: _Scores, order: int) -> MixtureTable:
        features = scores.features
        weights = self.interpolation.weights[self.classes.classify(features), 0]
        n_levels = self.classes.n_levels[0]
        levels = np.searchsorted(self.classes.bounds[0], features[0])
        cells: Classes = scores.context.context_lengths * n_levels + levels
        counts = np.bincount(cells, minlength=order * n_levels).reshape(order, n_levels)
        sums = np.bincount(cells, weights, minlength=order * n_levels).reshape(order, n_levels)
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        return MixtureTable(means, counts / max(len(weights), 1))


def _cache(config: CacheConfig | None, vocabulary_size: int) -> CacheModel | None:
    return None if config is None else CacheModel(vocabulary_size=vocabulary_size, **config.model_dump())


def _remembered(cache: CacheModel | None, documents: HeldOutDocuments) -> list[Floats]:
    """What a cache says of all tokens, if there is one; it forgets between texts."""
    if cache is None:
        return []
    return [np.concatenate([cache.log_probabilities(tokens) for tokens in documents.texts])]
