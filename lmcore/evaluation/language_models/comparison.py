"""Compares a causal language model with n-gram models, and with their interpolation, on held-out documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmcore.config.evaluate import CacheConfig, EvaluateConfig, InterpolationConfig, ReportConfig
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats
from lmcore.evaluation.language_models.baselines import NgramBaselines
from lmcore.evaluation.language_models.cache_model import CacheModel
from lmcore.evaluation.language_models.interpolation import Classes, ContextClasses, Interpolation
from lmcore.evaluation.language_models.likelihood import BitsPerUnit, HeldOutDocuments
from lmcore.evaluation.language_models.scoring import Scorer
from lmcore.evaluation.names import INTERPOLATION, MODEL, NGRAM, NGRAM_ON_SEEN, SHORTER_NGRAM
from lmcore.evaluation.result import Metrics, pair_name
from lmcore.finetuning.examples import choose_examples
from lmcore.generation.surprisal import text_spans
from lmcore.models.generative import TokenScores
from lmcore.models.ngram.kneser_ney import NgramScores

MODELS = (MODEL, NGRAM, SHORTER_NGRAM, INTERPOLATION, NGRAM_ON_SEEN)
"""All models that may be compared, in the order in which they are shown."""

COMPARISONS = (
    (INTERPOLATION, MODEL),
    (INTERPOLATION, NGRAM),
    (MODEL, NGRAM_ON_SEEN),
    (MODEL, NGRAM),
    (MODEL, SHORTER_NGRAM),
)
"""Pairs of models whose difference is reported with a confidence interval."""


@dataclass(frozen=True)
class InterpolationTable:
    """The weight of the language model in the interpolation, by the confidence of both models.

    Rows are the number of context tokens that the n-gram model knows, columns are levels of the language model's
    confidence.

    Attributes:
        weights: mean over the test tokens, (n_context_lengths, n_levels); NaN where there is no token.
        fractions: fraction of the test tokens, (n_context_lengths, n_levels), summing to 1.
    """

    weights: Floats
    fractions: Floats

    def as_json(self) -> dict[str, list[list[float | None]]]:
        """The rounded table, with None instead of NaN."""
        weights = [[None if np.isnan(cell) else round(cell, 4) for cell in row] for row in self.weights]
        return {"weights": weights, "fractions": np.round(self.fractions, 4).tolist()}


@dataclass(frozen=True)
class LanguageModelComparison:
    """Models compared on the test documents.

    Attributes:
        log_probabilities: natural logarithms of the probabilities of all test tokens, (n_tokens,), by model.
        bits: the bits of each test document, (n_documents,), by model.
        metrics: bits per byte and per character, perplexity and differences.
        interpolation: the weights of the language model; None if no n-gram model is interpolated with it.
    """

    log_probabilities: Mapping[str, Floats]
    bits: Mapping[str, Floats]
    metrics: Metrics
    interpolation: InterpolationTable | None

    def sample_surprisal(
        self, test: HeldOutDocuments, decode: Callable[[Sequence[int]], str], config: ReportConfig, seed: int
    ) -> list[tuple[str, list[dict[str, Any]]]]:
        """The surprisal, in bits, of the spans of random documents that are short enough to show.

        Args:
            test: the test documents that were compared.
            decode: converts tokens to text.
            config: how many documents, and how long they may be.
            seed: the seed of the sample.

        Returns:
            the id and the spans of each document; a span is ``{"text": ..., "bits": {model: ...}}``.
        """
        longest = config.max_document_tokens
        fitting = [index for index, n_tokens in enumerate(test.n_tokens) if longest // 3 <= n_tokens - 1 <= longest]
        offsets = np.concatenate(([0], np.cumsum(test.n_tokens)))
        models = [name for name in (MODEL, NGRAM, SHORTER_NGRAM) if name in self.log_probabilities]
        found = []
        for index in choose_examples(fitting, config.num_documents, seed):
            tokens = slice(offsets[index], offsets[index + 1])
            bits = {name: -self.log_probabilities[name][tokens] / np.log(2) for name in models}
            spans = [
                {
                    "text": span.text,
                    "bits": {name: round(float(own[span.start : span.end].sum()), 3) for name, own in bits.items()},
                }
                for span in text_spans(test.tokens[index][:-1].tolist(), decode)
            ]
            found.append((test.ids[index], spans))
        return found


def compare_language_models(
    model: Scorer,
    baselines: NgramBaselines,
    *,
    validation: HeldOutDocuments,
    test: HeldOutDocuments,
    is_clean: Flags,
    sources: Sequence[str],
    config: EvaluateConfig,
) -> LanguageModelComparison:
    """Score the test documents with every model; the weights of the interpolation come from the validation documents.

    Args:
        model: scorer of the language model.
        baselines: n-gram models of the same corpus.
        validation: documents that the interpolation is fitted on.
        test: documents that all metrics are computed on.
        is_clean: which test documents share nothing with the training split, bool (n_documents,).
        sources: the source of each test document.
        config: settings of the interpolation and the confidence intervals.
    """
    scores = _Scores.compute(model, baselines, test, config.interpolation.cache)
    log_probabilities = {
        MODEL: scores.model.log_probabilities,
        **{name: ngram.score(test.texts).log_probabilities for name, ngram in baselines.models.items()},
    }
    table = None
    if len(scores.interpolated) > 1:
        fitted_on = _Scores.compute(model, baselines, validation, config.interpolation.cache)
        mixture = _Mixture.fit(fitted_on, config.interpolation)
        log_probabilities[INTERPOLATION] = mixture.log_probabilities(scores)
        table = mixture.table(scores, baselines.context.order) if NGRAM in baselines.models else None
    bits = {name: test.bits(log_probabilities[name]) for name in MODELS if name in log_probabilities}
    metrics = measure_all_and_clean(
        is_clean, lambda indices: _measure(bits, test.select(indices), indices, config), sources
    )
    return LanguageModelComparison(log_probabilities, bits, metrics, table)


def _measure(
    bits: Mapping[str, Floats], documents: HeldOutDocuments, indices: Indices, config: EvaluateConfig
) -> Metrics:
    bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed)
    n_bytes, n_tokens = documents.n_bytes, documents.n_tokens
    per_byte, per_token = BitsPerUnit(n_bytes, bootstrap), BitsPerUnit(n_tokens, bootstrap)
    per_character = BitsPerUnit(documents.n_characters, bootstrap)
    return Metrics(
        {
            name: {
                "bits_per_byte": per_byte.estimate(values[indices]),
                "perplexity": per_token.perplexity(values[indices]),
                "bits_per_character": per_character.estimate(values[indices]),
            }
            for name, values in bits.items()
        },
        {
            pair_name(name, reference): {
                "bits_per_byte": per_byte.difference(bits[name][indices], bits[reference][indices]),
                "bits_per_character": per_character.difference(bits[name][indices], bits[reference][indices]),
            }
            for name, reference in COMPARISONS
            if name in bits and reference in bits
        },
        {"n_documents": len(indices), "n_tokens": int(n_tokens.sum()), "n_bytes": int(n_bytes.sum())},
    )


@dataclass(frozen=True)
class _Scores:
    """Scores of the documents by all models that are interpolated.

    Attributes:
        model: scores of the language model.
        context: scores of the n-gram model, which include how much of the context it knows.
        interpolated: natural logarithms of the language model, the n-gram model and the cache, where there is one,
            (n_models, n_tokens).
    """

    model: TokenScores
    context: NgramScores
    interpolated: Floats

    @classmethod
    def compute(
        cls, model: Scorer, baselines: NgramBaselines, documents: HeldOutDocuments, cache: CacheConfig | None
    ) -> "_Scores":
        own, context = model.score(documents.texts), baselines.context.score(documents.texts)
        rows = [own.log_probabilities]
        if NGRAM in baselines.models:
            rows.append(context.log_probabilities)
        if cache is not None:
            recent = CacheModel(vocabulary_size=baselines.context.vocabulary_size, **cache.model_dump())
            rows.append(np.concatenate([recent.log_probabilities(tokens) for tokens in documents.texts]))
        return cls(own, context, np.stack(rows))

    @property
    def features(self) -> Floats:
        """The features that the weights depend on, (3, n_tokens); none depends on the token to predict."""
        return np.stack((self.model.confidence, self.context.context_lengths.astype(np.float64), self.context.backoff))


@dataclass(frozen=True)
class _Mixture:
    """An interpolation whose weights depend on how confident the language model and the n-gram model are."""

    classes: ContextClasses
    interpolation: Interpolation

    @classmethod
    def fit(cls, scores: _Scores, config: InterpolationConfig) -> "_Mixture":
        classes = ContextClasses.fit(scores.features, config.num_confidence_levels)
        interpolation = Interpolation.fit(
            scores.interpolated, classes.classify(scores.features), classes.n_classes, prior_tokens=config.prior_tokens
        )
        return cls(classes, interpolation)

    def log_probabilities(self, scores: _Scores) -> Floats:
        return self.interpolation.log_probabilities(scores.interpolated, self.classes.classify(scores.features))

    def table(self, scores: _Scores, order: int) -> InterpolationTable:
        features = scores.features
        weights = self.interpolation.weights[self.classes.classify(features), 0]
        n_levels = self.classes.n_levels[0]
        levels = np.searchsorted(self.classes.bounds[0], features[0])
        cells: Classes = scores.context.context_lengths * n_levels + levels
        counts = np.bincount(cells, minlength=order * n_levels).reshape(order, n_levels)
        sums = np.bincount(cells, weights, minlength=order * n_levels).reshape(order, n_levels)
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        return InterpolationTable(means, counts / max(len(weights), 1))
