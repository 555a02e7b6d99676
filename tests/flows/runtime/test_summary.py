"""The table of main metrics: models by what they are called, clean documents first, whatever the family."""

import json
from pathlib import Path

import pytest

from flows.runtime.summary import metric_rows


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def write(part: str, names: dict[str, str], figures: dict[str, object]) -> None:
    folder = Path("reports/evaluate")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps({"names": names, "metrics": figures}))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_metrics_on_clean_documents_come_before_those_on_all_documents() -> None:
    measures = {"bits_per_byte": figure(1.6), "bits_per_byte_clean": figure(1.7), "perplexity_clean": figure(40)}
    sizes = {"n_documents": 10, "n_documents_clean": 8, "differences": {}}
    write("language_model", {"model": "GPT", "ngram": "5-gram"}, {"model": measures, "ngram": measures, **sizes})
    assert list(metric_rows()) == [
        ("Bits per byte (clean)", "GPT", "1.700", "1.600 to 1.800"),
        ("", "5-gram", "1.700", "1.600 to 1.800"),
        ("Bits per byte (all)", "GPT", "1.600", "1.500 to 1.700"),
        ("", "5-gram", "1.600", "1.500 to 1.700"),
        ("Perplexity (clean)", "GPT", "40.000", "39.900 to 40.100"),
        ("", "5-gram", "40.000", "39.900 to 40.100"),
    ]


@pytest.mark.parametrize("clean", [{}, {"n_documents_clean": 10}])
def test_where_all_documents_or_none_are_clean_each_metric_is_shown_once(clean: dict[str, int]) -> None:
    sizes = {"n_documents": 10, "differences": {}, **clean}
    write("classifier", {"model": "fine-tuned BERT"}, {"model": {"accuracy": figure(0.8)}, **sizes})
    assert list(metric_rows()) == [("Accuracy", "fine-tuned BERT", "0.800", "0.700 to 0.900")]


def test_a_fine_tuned_model_is_shown_by_the_metric_that_its_result_names() -> None:
    measures = {
        "chrf": figure(60),
        "chrf_clean": figure(50),
        "exact_match": figure(0.6),
        "exact_match_clean": figure(0.5),
    }
    sizes = {"n_documents": 10, "n_documents_clean": 8, "differences": {}}
    path = Path("reports/evaluate/completion.json")
    write("completion", {"model": "fine-tuned GPT"}, {"model": measures, **sizes})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"headline": "exact_match"}))
    assert list(metric_rows()) == [("Exact match (clean)", "fine-tuned GPT", "0.500", "0.400 to 0.600")]


@pytest.mark.parametrize(
    ("name", "measure", "title"),
    [
        ("BERT", "pseudo_bits_per_byte", "Pseudo bits per byte (clean)"),
        ("encoder-decoder", "bits_per_masked_token", "Bits per masked token (clean)"),
    ],
)
def test_models_that_do_not_predict_the_next_token_are_in_the_table(name: str, measure: str, title: str) -> None:
    figures = {"model": {f"{measure}_clean": figure(2.0)}, "n_documents": 10, "n_documents_clean": 8}
    write("language_model", {"model": name}, figures)
    assert list(metric_rows()) == [(title, name, "2.000", "1.900 to 2.100")]


def test_without_an_evaluation_there_is_no_row() -> None:
    assert list(metric_rows()) == []
