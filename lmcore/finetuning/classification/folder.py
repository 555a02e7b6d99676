"""The model folder of a classifier."""

from pathlib import Path
from typing import Any, cast

from lmcore.errors import UserError
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.ngram_classifier import NgramClassifier
from lmcore.models.families import build_model
from lmcore.models.folder import TOKENIZER, WEIGHTS, ModelDescription, read_description, save_folder
from lmcore.models.trainable import TextEncoder
from lmcore.models.verification import load_weights, verify
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


def save_classifier(folder: Path, classifier: Classifier, tokenizer: Tokenizer, record: Any) -> None:
    """Save a classifier as ``folder``, which is replaced."""
    description = ModelDescription(
        kind="classifier",
        model=classifier.backbone.config,
        labels=classifier.labels,
        max_tokens=classifier.max_tokens,
        truncation_side=classifier.truncation_side,
        pooling=classifier.pooling,
        problem_type=classifier.problem_type,
        temperature=classifier.temperature,
        bias=classifier.bias,
        ensemble_size=len(classifier.members),
        ngram_classifier=classifier.ngram_classifier.config if classifier.ngram_classifier else None,
        prompt_format=None,
    )
    save_folder(folder, description, classifier, tokenizer, record)


def load_classifier(folder: Path) -> tuple[Classifier, Tokenizer]:
    """The classifier in ``folder``, in evaluation mode on the CPU.

    Raises:
        FileNotFoundError: if a file is missing.
        UserError: if the folder holds something else, the weights do not match the description, or a file is
            corrupt.
    """
    description = read_description(folder)
    if description.kind != "classifier":
        raise UserError(f"{folder} holds a {description.kind.replace('_', ' ')}, not a classifier")
    labels, max_tokens = description.labels, description.max_tokens
    truncation_side, pooling = description.truncation_side, description.pooling
    ngrams = description.ngram_classifier
    problem_type, temperature, n_members = description.problem_type, description.temperature, description.ensemble_size
    if (
        labels is None
        or max_tokens is None
        or truncation_side is None
        or pooling is None
        or problem_type is None
        or temperature is None
        or n_members is None
    ):
        raise UserError(
            f"{folder} lacks labels, max_tokens, truncation_side, pooling, problem_type, temperature or ensemble_size: "
            "it does not describe a classifier"
        )
    verify(folder, TOKENIZER, WEIGHTS)
    tokenizer = Tokenizer.load(folder / TOKENIZER)

    def make() -> Classifier:
        backbone, *others = (build_model(description.model, tokenizer.vocabulary) for _ in range(n_members))
        if not isinstance(backbone, TextEncoder):
            raise UserError(f"{folder} holds a classifier of family {description.model.family}, which cannot classify")
        return Classifier(
            backbone,
            labels,
            max_tokens=max_tokens,
            truncation_side=truncation_side,
            pooling=pooling,
            problem_type=problem_type,
            temperature=temperature,
            bias=description.bias or 0.0,
            ngram_classifier=NgramClassifier(ngrams, len(labels)) if ngrams else None,
            others=cast("list[TextEncoder]", others),
        )

    return load_weights(make, description.model, folder / WEIGHTS), tokenizer
