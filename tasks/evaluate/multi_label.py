"""Evaluates a classifier that finds any number of labels, compared with linear classifiers and label frequencies."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import expit

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.intervals import Flags
from lmcore.evaluation.multi_label import evaluate_multi_label
from lmcore.evaluation.multi_label_baselines import LabeledTexts, multi_label_baselines
from lmcore.evaluation.names import BAG_OF_WORDS, CHARACTER_NGRAMS, LABEL_FREQUENCIES, MODEL, NETWORK
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import LabeledText
from lmcore.finetuning.classification.prediction import logits_of_parts
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


def evaluate_labels(
    classifier: Classifier,
    tokenizer: Tokenizer,
    training: Sequence[LabeledText],
    validation: Sequence[LabeledText],
    test: Sequence[LabeledText],
    is_clean: Flags,
    config: EvaluateConfig,
) -> EvaluationResult:
    """Metrics of the classifier and of its baselines, which are trained on the same examples.

    Args:
        classifier: the classifier, on its device.
        tokenizer: its tokenizer.
        training: texts with their labels, among those that the classifier knows.
        validation: texts that select the baselines' regularization.
        test: the texts to measure on.
        is_clean: which of them share nothing with the training split, bool (n_documents,).
        config: seed, intervals, baselines.
    """
    asked, has_label = _as_table(test, classifier.labels)
    network, ngrams = logits_of_parts(classifier, tokenizer, asked)
    baselines = multi_label_baselines(
        _as_table(training, classifier.labels),
        _as_table(validation, classifier.labels),
        asked,
        config.classification.linear,
    )
    logits = torch.from_numpy((network + ngrams).astype(np.float64))
    own = {MODEL: classifier.probabilities(logits).numpy()}
    if classifier.ngram_classifier is not None:
        own[NETWORK] = expit(network.astype(np.float64))
    metrics = evaluate_multi_label(has_label, own | baselines.probabilities, is_clean, config)
    names = {
        MODEL: f"fine-tuned {classifier.display_name}",
        **({} if classifier.ngram_classifier is None else {NETWORK: f"the {classifier.config.display_name} alone"}),
        BAG_OF_WORDS: "linear SVMs on word n-grams",
        CHARACTER_NGRAMS: "linear SVMs on character n-grams",
        LABEL_FREQUENCIES: "label frequencies",
    }
    details = {
        "strongest_baseline": baselines.strongest,
        "n_trained_labels": len(classifier.labels),
        "labels": classifier.labels,
        "temperature": classifier.temperature,
        "bias": classifier.bias,
    }
    return EvaluationResult(
        names, metrics.with_counts(n_training_examples=len(training), n_untrained_classes=0), details
    )


def _as_table(examples: Sequence[LabeledText], labels: Sequence[str]) -> LabeledTexts:
    """The texts, and which of the labels each has, bool (n_texts, n_labels)."""
    has_label = np.array([[label in found for label in labels] for _, found in examples], bool)
    return [text for text, _ in examples], has_label.reshape(len(examples), len(labels))
