import csv

import numpy as np
import pyarrow as pa
import pytest

from lmcore.finetuning.classification.folder import load_classifier
from lmcore.text.documents.shards import read_documents, shards_of, write_table
from lmcore.text.split import splits_of
from tasks.evaluate import (
    evaluate_classifier,
    measure_contamination,
)
from tests.tasks.evaluate.evaluated_project import CONFIG, FINETUNE, SPLIT, read, write_documents


def test_the_confusion_table_holds_the_classifiers_own_predictions(project):
    with (project / "reports/confusion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    accuracy = np.mean([row["actual"] == row["predicted"] for row in rows])
    metrics = read(project / "reports/metrics.json")["classifier"]
    assert metrics["model"]["accuracy"]["value"] == pytest.approx(accuracy)
    labels = load_classifier(project / "finetuned/classifier")[0].labels
    assert {row["actual"] for row in rows} <= set(labels)


@pytest.mark.parametrize("rare", [lambda _: "rare", "rare {}".format], ids=["one class", "many classes"])
def test_classes_that_were_not_trained_count_as_wrong_and_are_named(project, tmp_path, caplog, rare):
    documents = tmp_path / "clean"
    write_documents(documents)
    table = read_documents(documents)
    labels = [rare(number) if number % 3 == 0 else label for number, label in enumerate(table["label"].to_pylist())]
    column = table.schema.get_field_index("label")
    (shard,) = shards_of(documents)
    write_table(shard, table.set_column(column, table.schema.field(column), pa.array(labels)))
    output = tmp_path / "out"
    folders = {"documents": documents, "output": output}
    limits = CONFIG.classification.model_copy(update={"max_documents": 1000})
    config = CONFIG.model_copy(update={"classification": limits})
    measure_contamination(config.contamination, SPLIT, **folders)
    evaluate_classifier(config, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    found = read(output / "classifier.json")
    is_test = [split == "test" for split in splits_of(table, SPLIT)]
    test = [label for label, chosen in zip(labels, is_test, strict=True) if chosen]
    untrained = [label for label in test if "rare" in label]
    metrics = found["metrics"]
    assert metrics["n_documents"] == len(test)
    assert metrics["n_documents_of_untrained_classes"] == len(untrained)
    assert set(found["untrained_labels"]) == set(untrained)
    assert metrics["bag_of_words"]["accuracy"]["value"] == pytest.approx(1 - len(untrained) / len(test))
    assert metrics["n_classes"] == 2 + len(set(untrained))
    assert len(found["labels"]) == 2 + min(len(set(untrained)), 11)
    assert sum(map(sum, found["confusion"][2:])) == len(untrained)
    n_wrong = f"{len(untrained)} of {len(test)} test documents count as wrong"
    assert f"{n_wrong}, since their class was not trained: rare" in caplog.text
