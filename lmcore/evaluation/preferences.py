"""How often a model prefers the chosen answer of a pair, and how often it is right, compared with its base model."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import (
    Bootstrap,
    Flags,
    Floats,
    mean,
    mean_difference,
    proportion,
    proportion_difference,
)
from lmcore.evaluation.names import BASE, MODEL
from lmcore.evaluation.result import HEADLINE, EvaluationResult, Metrics, pair_name


def evaluate_preferences(
    names: Mapping[str, str],
    model: Floats,
    base: Floats,
    beta: float,
    is_clean: Flags,
    config: EvaluateConfig,
    rows: Sequence[Mapping[str, Any]],
) -> EvaluationResult:
    """Evaluate a model that was trained on preferences.

    ``preference_accuracy`` is the fraction of pairs whose chosen answer is more probable than the rejected one.
    ``reward_accuracy`` and ``reward_margin`` compare the rewards, ``beta`` times the logarithm of how much more
    probable the model finds an answer than its base does (Rafailov et al. 2023).

    Args:
        names: the names of the model and its base in text.
        model: the model's log-probabilities of chosen and rejected answers, (n_pairs, 2).
        base: those of the model that it was trained from.
        beta: as in training.
        is_clean: which documents share nothing with the training split, bool (n_pairs,).
        config: seed and confidence intervals.
        rows: the pairs, for readers.
    """
    margins = beta * ((model - base)[:, 0] - (model - base)[:, 1])
    prefers, base_prefers = model[:, 0] > model[:, 1], base[:, 0] > base[:, 1]

    def measure(indices: Indices) -> Metrics:
        bootstrap, confidence = Bootstrap(len(indices), config.bootstrap, config.seed), config.bootstrap.confidence
        own = {
            "preference_accuracy": proportion(prefers[indices], confidence),
            "reward_accuracy": proportion(margins[indices] > 0, confidence),
            "reward_margin": mean(margins[indices], bootstrap),
        }
        gain = proportion_difference(prefers[indices], base_prefers[indices], confidence)
        return Metrics(
            {MODEL: own, BASE: {"preference_accuracy": proportion(base_prefers[indices], confidence)}},
            {pair_name(MODEL, BASE): {"preference_accuracy": gain}},
            {"n_documents": len(indices)},
        )

    metrics = measure_all_and_clean(is_clean, measure)
    return EvaluationResult(names, metrics, _details("preference_accuracy", rows))


def evaluate_rewards(
    names: Mapping[str, str],
    model: Floats,
    base: Floats,
    is_clean: Flags,
    config: EvaluateConfig,
    rows: Sequence[Mapping[str, Any]],
) -> EvaluationResult:
    """Evaluate a model that was trained with rewards: those of its most probable answers, and those of its base.

    Args:
        names: the names of the model and its base in text.
        model: the rewards of the model's answers, from 0 to 1, (n_prompts,).
        base: the rewards of the model that it was trained from.
        is_clean: which documents share nothing with the training split, bool (n_prompts,).
        config: seed and confidence intervals.
        rows: prompts and answers, for readers.
    """
    both = {MODEL: model, BASE: base}

    def measure(indices: Indices) -> Metrics:
        bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed)
        gain = mean_difference(model[indices], base[indices], bootstrap)
        return Metrics(
            {name: {"reward": mean(own[indices], bootstrap, (0.0, 1.0))} for name, own in both.items()},
            {pair_name(MODEL, BASE): {"reward": gain}},
            {"n_documents": len(indices)},
        )

    return EvaluationResult(names, measure_all_and_clean(is_clean, measure), _details("reward", rows))


def _details(headline: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        HEADLINE: headline,
        "strongest_baseline": BASE,
        "validation": {},
        "signatures": {},
        "completions": list(rows),
    }
