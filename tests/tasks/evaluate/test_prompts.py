"""Prompts are compared on one model on the same test documents, beside baselines."""

import json
from pathlib import Path

import pytest

from lmcore.config.prompts import PromptsConfig
from tasks.evaluate import evaluate_prompts, measure_contamination
from tests.sample_project import PROJECT
from tests.tasks.evaluate.evaluated_project import CONFIG, SPLIT, write_documents, write_models


def prompts(**changes: object) -> PromptsConfig:
    template = PROJECT / "prompts" / "evaluation" / "package.jinja"
    values = {
        "examples": {"kind": "label", "column": "label"},
        "answer": "choice",
        "truncated_field": "text",
        "max_documents": 20,
        "max_train_samples": 50,
        "max_answer_tokens": 8,
        "variants": (
            {"name": "plain", "template": template, "num_fewshot": 0, "example_picker": None},
            {"name": "shots", "template": template, "num_fewshot": 1, "example_picker": "similarity"},
        ),
    }
    return PromptsConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_models(folder, write_documents(folder / "clean"))
    measure_contamination(CONFIG.contamination, SPLIT, documents=folder / "clean", output=folder / "out")
    return folder


@pytest.mark.parametrize("answer", ["choice", "generate"])
def test_prompts_are_compared_on_the_same_documents_with_each_other_and_with_baselines(
    project: Path, answer: str
) -> None:
    config = CONFIG.model_copy(update={"prompts": prompts(answer=answer)})
    folders = {"documents": project / "clean", "language_model": project / "language-model"}
    evaluate_prompts(config, SPLIT, output=project / "out", **folders)
    found = json.loads((project / "out" / "prompts.json").read_text())
    metrics = found["metrics"]
    assert list(found["names"])[:2] == ["model", "prompt_shots"]
    assert found["names"]["model"] == "GPT, prompt plain"
    rows = found["completions"]
    for key in ("model", "prompt_shots", "nearest_neighbor"):
        matches = [row[key] == row["reference"] for row in rows]
        assert metrics[key]["exact_match"]["value"] == pytest.approx(sum(matches) / len(rows))
    difference = metrics["differences"]["model_minus_prompt_shots"]["exact_match"]
    own, other = (metrics[key]["exact_match"]["value"] for key in ("model", "prompt_shots"))
    assert difference["value"] == pytest.approx(own - other)
    if answer == "choice":
        assert {row["model"] for row in rows} <= {"numpy", "prefect"}
    assert found["headline"] == "exact_match"
    assert [prompt["name"] for prompt in found["prompts"]] == ["plain", "shots"]
    assert metrics["nearest_neighbor"]["exact_match"]["value"] > 0.8


def test_without_prompts_the_result_says_so(project: Path) -> None:
    folders = {"documents": project / "clean", "language_model": project / "language-model"}
    evaluate_prompts(CONFIG, SPLIT, output=project / "out", **folders)
    assert json.loads((project / "out" / "prompts.json").read_text()) == {"skipped": "no prompts are configured"}
