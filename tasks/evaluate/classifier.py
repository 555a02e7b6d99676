"""The classifier on test documents, beside the commonest class and linear models trained on its own examples."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.baselines import majority_class
from lmcore.evaluation.bootstrap import Bootstrap
from lmcore.evaluation.classification import ClassificationMeasures, Labels, confusion_matrix
from lmcore.evaluation.contamination import Flags, Rows, on_all_and_clean
from lmcore.evaluation.linear import LinearPrediction, linear_predictions, strongest
from lmcore.evaluation.names import BAG_OF_WORDS, CHARACTER_NGRAMS, MAJORITY, MODEL, family_name
from lmcore.evaluation.proportions import proportion_difference
from lmcore.finetuning.classifier import predict
from lmcore.finetuning.examples import choose_examples, labeled_pairs
from lmcore.finetuning.supervised import CLASSIFICATION_COLUMNS, classification_examples
from lmcore.models.folder import read_description
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from tasks.context.prefect import task
from tasks.evaluate.contamination import is_clean
from tasks.evaluate.models import classifier_on_device, why_absent
from tasks.evaluate.tables import write_csv

logger = logging.getLogger(__name__)

MOST_NAMED = 10
"""Of the classes that were not trained, so many are named in the log and have a row of the confusion matrix."""
OTHERS = "other classes that were not trained"


@dataclass(frozen=True)
class _Task:
    """What was learned, from which examples, and what is asked now.

    Attributes:
        trained: the classes that the classifier can answer.
        untrained: classes of test documents that it cannot, the commonest first.
        training: texts and labels that it was trained on.
        validation: those that choose among the linear models.
        ids: of the test documents.
        texts: theirs.
        labels: theirs, of any class.
    """

    trained: tuple[str, ...]
    untrained: tuple[str, ...]
    training: list[tuple[str, str]]
    validation: list[tuple[str, str]]
    ids: list[str]
    texts: list[str]
    labels: list[str]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.trained + self.untrained

    @property
    def is_untrained(self) -> Flags:
        """Of each test document, whether its class was not trained."""
        untrained = set(self.untrained)
        return np.array([label in untrained for label in self.labels], bool)


@task
def evaluate_classifier(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``classifier.json`` into ``output``, and ``confusion.csv`` where there is a classifier."""
    reason = why_absent(models, "classifier")
    if reason is None:
        task = _read_task(config, finetune, split, documents, models / "classifier")
        reason = None if task.texts else "no test document has a label"
    if reason is not None:
        logger.warning("The classifier is not evaluated: %s", reason)
        write_json(output / "classifier.json", {"skipped": reason})
        return
    _warn_of_untrained(task)
    classifier, tokenizer = classifier_on_device(models / "classifier")
    chosen = predict(classifier, tokenizer, task.texts).argmax(axis=1)
    linear = linear_predictions(
        _unzipped(task.training), _unzipped(task.validation), task.texts, config.classification.linear
    )
    predicted = {
        MODEL: [task.trained[index] for index in chosen],
        **{name: found.labels for name, found in linear.items()},
        MAJORITY: majority_class([label for _, label in task.training], len(task.texts)),
    }
    names = {
        MODEL: f"fine-tuned {family_name(read_description(models / 'classifier').model)}",
        BAG_OF_WORDS: "word n-grams, linear",
        CHARACTER_NGRAMS: "character n-grams, linear",
        MAJORITY: "commonest class",
    }
    _write(output, task, predicted, linear, names, config)


def _read_task(
    config: EvaluateConfig, finetune: FinetuneConfig, split: SplitFractions, documents: Path, folder: Path
) -> _Task:
    """The examples that the classifier was trained on, drawn as the training drew them, and test examples."""
    labels = read_description(folder).labels
    if labels is None or finetune.classification is None:
        raise UserError(f"{folder} holds no classifier that params.yaml asks for; run `dvc repro finetune`")
    limit = config.classification.max_documents
    examples = classification_examples(read_documents(documents, CLASSIFICATION_COLUMNS), split)
    test = examples["test"]
    chosen = choose_examples(range(len(test.ids)), limit, config.seed)
    counts = Counter(test.labels[row] for row in chosen)
    return _Task(
        trained=labels,
        untrained=tuple(sorted(set(counts) - set(labels), key=lambda label: (-counts[label], label))),
        training=choose_examples(
            labeled_pairs(examples["train"], labels), finetune.classification.max_examples, finetune.seed
        ),
        validation=choose_examples(labeled_pairs(examples["validation"], labels), limit, config.seed),
        ids=[test.ids[row] for row in chosen],
        texts=[test.texts[row] for row in chosen],
        labels=[test.labels[row] for row in chosen],
    )


def _warn_of_untrained(task: _Task) -> None:
    if task.untrained:
        rest = len(task.untrained) - MOST_NAMED
        logger.warning(
            "%d of %d test documents count as wrong, since their class was not trained: %s. A class is trained if it "
            "has finetune.classification.min_examples_per_label training documents.",
            np.count_nonzero(task.is_untrained),
            len(task.labels),
            ", ".join(task.untrained[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else ""),
        )


def _write(
    output: Path,
    task: _Task,
    predicted_labels: Mapping[str, list[str]],
    linear: Mapping[str, LinearPrediction],
    names: Mapping[str, str],
    config: EvaluateConfig,
) -> None:
    actual = _numbers(task.labels, task.classes)
    predicted = {name: _numbers(labels, task.classes) for name, labels in predicted_labels.items()}
    is_untrained = task.is_untrained

    def measure(rows: Rows) -> dict[str, Any]:
        return _figures(actual[rows], {name: own[rows] for name, own in predicted.items()}, is_untrained[rows], config)

    figures = on_all_and_clean(is_clean(output, task.ids), measure)
    figures |= {
        "n_training_documents": len(task.training),
        "n_classes": len(task.classes),
        "n_untrained_classes": len(task.untrained),
    }
    labels, confusion = _confusion(task, actual, predicted[MODEL])
    found = {
        "names": names,
        "strongest_baseline": strongest(linear),
        "linear": {
            name: {"inverse_regularization": own.inverse_regularization, "validation_accuracy": own.validation_accuracy}
            for name, own in linear.items()
        },
        "figures": figures,
        "labels": labels,
        "n_trained_labels": len(task.trained),
        "untrained_labels": task.untrained,
        "confusion": confusion.tolist(),
    }
    write_json(output / "classifier.json", found)
    rows = zip(task.labels, predicted_labels[MODEL], strict=True)
    write_csv(output / "confusion.csv", ("actual", "predicted"), rows)
    shown = ", ".join(f"{name} {figures[name]['accuracy']['value']:.3f}" for name in predicted)
    logger.info("Accuracy on %d test documents: %s", len(task.labels), shown)


def _figures(
    actual: Labels, predicted: Mapping[str, Labels], is_untrained: Flags, config: EvaluateConfig
) -> dict[str, Any]:
    n_classes = int(max(actual.max(), *(own.max() for own in predicted.values()))) + 1
    bootstrap = Bootstrap(len(actual), config.bootstrap, config.seed)
    figures: dict[str, Any] = {
        name: asdict(ClassificationMeasures.of(actual, own, n_classes, bootstrap)) for name, own in predicted.items()
    }
    right = predicted[MODEL] == actual
    differences = {
        f"{MODEL}_minus_{name}": {
            "accuracy": proportion_difference(right, own == actual, config.bootstrap.confidence).as_dict()
        }
        for name, own in predicted.items()
        if name != MODEL
    }
    return figures | {
        "differences": differences,
        "n_documents": len(actual),
        "n_documents_of_untrained_classes": int(np.count_nonzero(is_untrained)),
    }


def _confusion(task: _Task, actual: Labels, predicted: Labels) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The confusion matrix with its labels; the rarest of many classes that were not trained share the last row."""
    shown = len(task.trained) + MOST_NAMED
    if len(task.classes) <= shown + 1:
        return list(task.classes), confusion_matrix(actual, predicted, len(task.classes))
    return [*task.classes[:shown], OTHERS], confusion_matrix(np.minimum(actual, shown), predicted, shown + 1)


def _unzipped(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [text for text, _ in pairs], [label for _, label in pairs]


def _numbers(names: Sequence[str], labels: Sequence[str]) -> Labels:
    number_of = {label: number for number, label in enumerate(labels)}
    return np.array([number_of[name] for name in names], dtype=np.int64)
