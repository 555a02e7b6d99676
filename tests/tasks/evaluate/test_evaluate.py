"""The tasks of the stage together: what they write, and that equal inputs give equal files."""

import csv
import re

import pytest

from lmcore.runtime.files import folder_digest, write_json
from tasks.evaluate import (
    evaluate_classifier,
    evaluate_completion,
    measure_contamination,
)
from tests.tasks.evaluate.evaluated_project import CONFIG, FINETUNE, SPLIT, read, run_tasks


def test_the_baselines_of_a_completion_copy_from_its_prompt_and_from_training_examples(project):
    completions = read(project / "reports/completion.json")["completions"]
    assert len(completions) == CONFIG.completion.max_documents
    for row in completions:
        assert row["prompt"].startswith(row.get("first_sentence", row["prompt"]))
        assert row["nearest_neighbor"].startswith("Return the")
        assert row["reference"].startswith("Return the")


def test_the_metric_of_the_completions_is_also_there_for_each_label(project):
    result = read(project / "reports/completion.json")
    rows = result["by_label"]
    assert [row["label"] for row in rows] == ["numpy", "prefect"]
    assert sum(row["n_documents"] for row in rows) == len(result["completions"])
    assert all(set(row) == {"label", "n_documents", "model", result["strongest_baseline"]} for row in rows)


def test_only_what_follows_the_separator_of_an_answer_is_compared(project, tmp_path):
    completion = CONFIG.completion.model_copy(update={"answer_separator": "the"})
    folders = {"documents": project / "clean", "output": tmp_path}
    measure_contamination(CONFIG.contamination, SPLIT, **folders)
    config = CONFIG.model_copy(update={"completion": completion})
    evaluate_completion(config, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    whole = {row["id"]: row["reference"] for row in read(project / "reports/completion.json")["completions"]}
    for row in read(tmp_path / "completion.json")["completions"]:
        assert row["reference"] == whole[row["id"]].removeprefix("Return the").strip()
        assert row["nearest_neighbor"].split()[0] in (
            "array",
            "axis",
            "shape",
            "dtype",
            "flow",
            "task",
            "server",
            "run",
        )


def test_dvc_gets_a_few_flat_values_and_all_metrics_are_next_to_the_report(project):
    slim, whole = read(project / "reports/slim.json"), read(project / "reports/metrics.json")
    assert list(slim) == ["bits_per_byte_clean", "accuracy_clean", "chrf_clean", "bits_per_byte"]
    for part, name in (("language_model", "bits_per_byte_clean"), ("classifier", "accuracy_clean")):
        assert slim[name] == pytest.approx(whole[part]["model"][name]["value"], abs=1e-4)
    # What `dvc metrics show` prints: the path and each value below its name.
    assert len("reports/metrics.json  ") + sum(len(name) + 4 for name in slim) <= 100


def test_documents_that_share_text_with_training_are_counted_and_left_out_of_clean_metrics(project):
    with (project / "reports/contamination.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    n_clean = sum(float(row["shared"]) == 0 for row in rows)
    summary, metrics = read(project / "reports/contamination.json"), read(project / "reports/metrics.json")
    assert summary["test"]["n_documents"] == len(rows)
    assert summary["test"]["n_clean"] == n_clean
    assert 0 < n_clean < len(rows)
    assert 0 < metrics["language_model"]["n_documents_clean"] < metrics["language_model"]["n_documents"]


def test_every_evaluated_model_has_a_card_whose_picture_lies_beside_it(project):
    cards = sorted((project / "reports").glob("model-card-*.md"))
    assert [card.stem for card in cards] == [
        "model-card-classifier",
        "model-card-completion",
        "model-card-language-model",
    ]
    for card in cards:
        text = card.read_text(encoding="utf-8")
        assert "## Results" in text
        for picture in re.findall(r"!\[.*\]\((.*)\)", text):
            assert (project / "reports" / picture).exists()


def test_equal_inputs_give_equal_files(project):
    run_tasks(project, "again")
    assert folder_digest(project / "again") == folder_digest(project / "reports")


def test_missing_models_are_skipped_with_the_reason_from_the_finetuning(project, tmp_path):
    write_json(tmp_path / "models/summary.json", {"skipped": {"classifier": "no document has a label"}})
    folders = {"documents": project / "clean", "models": tmp_path / "models", "output": tmp_path / "out"}
    evaluate_classifier(CONFIG, FINETUNE, SPLIT, **folders)
    evaluate_completion(CONFIG, FINETUNE, SPLIT, **folders)
    assert read(tmp_path / "out/classifier.json") == {"skipped": "no document has a label"}
    assert "it is disabled in params.yaml" in read(tmp_path / "out/completion.json")["skipped"]
