"""A classifier of any number of labels is trained by the task, evaluated beside its baselines, and shown."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.examples import classification_examples
from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.finetuning.classification.prediction import predict
from lmcore.models.gpt.model import GPT
from lmcore.runtime.files import write_json
from lmcore.text.documents.document import CLEAN_SCHEMA
from lmcore.text.documents.shards import read_documents, shard_name, write_table
from lmcore.text.split import document_id
from lmcore.tokens.tokenizer.training import train_tokenizer
from tasks.evaluate import evaluate_classifier, measure_contamination
from tests.tasks.evaluate.evaluated_project import CONFIG, RECORD, SHAPE, SPLIT

FINETUNE = FinetuneConfig.model_construct(
    seed=1,
    classification=ClassificationTrainingConfig.model_construct(
        max_train_samples=100, label_column="labels", problem_type=None
    ),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    random, words = np.random.default_rng(0), np.array(["alpha", "beta"])
    rows = []
    for number in range(150):
        labels = None if number % 15 == 0 else words[random.random(2) < 0.5].tolist()
        text = f"Text {number} of {' and '.join(labels or ())}, {random.integers(1000)}."
        rows.append(
            {"id": document_id(text), "text": text, "labels": labels, "split": None, "target": None, "n_words": 5}
        )
    columns = pa.schema([CLEAN_SCHEMA.field(name) for name in rows[0]])
    (tmp_path / "clean" / "documents").mkdir(parents=True)
    write_table(tmp_path / "clean" / "documents" / shard_name(0), pa.Table.from_pylist(rows, columns))
    tokenizer = train_tokenizer([row["text"] for row in rows], BytePairConfig(kind="byte_pair", vocabulary_size=280))
    torch.manual_seed(0)
    backbone = GPT(SHAPE, tokenizer.vocabulary)
    classifier = Classifier(
        backbone, ("alpha", "beta"), max_tokens=16, problem_type="multi_label_classification", temperature=2.0
    )
    torch.nn.init.normal_(classifier.head.weight)
    save_classifier(tmp_path / "models" / "classifier", classifier, tokenizer, RECORD)
    write_json(tmp_path / "models" / "summary.json", {"skipped": {}})
    return tmp_path


def test_metrics_are_those_of_the_calibrated_probabilities_and_baselines_find_the_words(project: Path) -> None:
    folders = {"documents": project / "clean", "output": project / "out"}
    limits = CONFIG.classification.model_copy(update={"max_documents": 1000})
    config = CONFIG.model_copy(update={"classification": limits})
    measure_contamination(config.contamination, SPLIT, **folders)
    evaluate_classifier(config, FINETUNE, SPLIT, models=project / "models", **folders)
    found = json.loads((project / "out" / "classifier.json").read_text())
    assert set(found["names"]) == {"model", "bag_of_words", "character_ngrams", "label_frequencies"}
    assert found["metrics"]["bag_of_words"]["micro_f1"]["value"] == 1.0
    assert found["strongest_baseline"] == "bag_of_words"
    assert (found["temperature"], found["n_trained_labels"]) == (2.0, 2)
    classifier, tokenizer = load_classifier(project / "models" / "classifier")
    test = classification_examples(read_documents(project / "clean"), SPLIT, "labels")["test"]
    predicted = predict(classifier, tokenizer, test.texts) >= 0.5
    actual = np.array([[label in found for label in classifier.labels] for found in test.label_sets])
    accuracy = (predicted == actual).all(axis=1).mean()
    assert found["metrics"]["model"]["subset_accuracy"]["value"] == pytest.approx(accuracy, abs=0.05)
    assert found["metrics"]["n_documents"] == len(test.texts)
