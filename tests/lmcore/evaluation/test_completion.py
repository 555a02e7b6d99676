from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

from lmcore.evaluation.completion import (
    HeldOutPrompts,
    compare_with_baselines,
    complete_prompts,
    evaluate_completions,
    metric_by_label,
)
from lmcore.evaluation.texts.metrics import TextMetrics
from tests.lmcore.evaluation.evaluation_settings import CONFIG


def test_a_model_that_repeats_the_reference_is_better_than_first_sentences():
    references = [f"Return the number {number} of the axis." for number in range(8)]
    completions = {"model": references, "first_sentence": ["Something else."] * 8}
    metrics, signatures = evaluate_completions(completions, references, list("abcdefgh"), np.arange(8) < 5, CONFIG)
    assert metrics.counts == {"n_documents": 8, "n_documents_clean": 5}
    assert set(signatures) == set(metrics.models["first_sentence"]) - {f"{name}_clean" for name in signatures}
    for name, best in {"bleu": 100, "chrf": 100, "rouge_l": 100, "exact_match": 1, "token_f1": 1}.items():
        assert metrics.models["model"][name].value == pytest.approx(best)
        assert metrics.differences["model_minus_first_sentence"][f"{name}_clean"].low > 0


def test_questions_about_one_document_are_resampled_together():
    references = [str(number) for number in range(60)]
    completions = {"model": [text if int(text) % 20 < 12 else "" for text in references], "other": [""] * 60}
    alone, together = (
        evaluate_completions(completions, references, documents, np.zeros(60, bool), CONFIG)[0]
        for documents in (references, [str(number % 20) for number in range(60)])
    )
    for name in ("exact_match", "token_f1", "chrf"):
        for narrow, wide in (
            (alone.models["model"], together.models["model"]),
            (alone.differences["model_minus_other"], together.differences["model_minus_other"]),
        ):
            assert wide[name].value == narrow[name].value
            assert wide[name].high - wide[name].low > 1.5 * (narrow[name].high - narrow[name].low)


class BackwardsGenerator:
    """Completes a prompt by its letters backwards, surrounded by white space, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def encode(self, prompt: str) -> list[int]:
        return list(prompt.encode())

    def complete(self, prompts, config):
        self.batches.append(list(prompts))
        return [SimpleNamespace(text=f" {prompt[::-1]}\n") for prompt in prompts]


def test_prompts_of_similar_length_share_a_batch_and_completions_keep_the_order_of_the_prompts():
    generator = BackwardsGenerator()
    prompts = ["abcdef", "ab", "abcde", "a"]
    assert complete_prompts(generator, prompts, CONFIG.completion) == [prompt[::-1] for prompt in prompts]
    assert generator.batches == [["a", "ab"], ["abcde", "abcdef"]]


def test_a_model_is_compared_with_every_baseline_by_the_metric_of_the_settings():
    prompts = [f"The number {number} of an axis." for number in range(8)]
    references = [f"Return number {number}." for number in range(8)]
    config = CONFIG.model_copy(update={"completion": CONFIG.completion.model_copy(update={"metric": "exact_match"})})
    result = compare_with_baselines(
        "fine-tuned GPT",
        references,
        HeldOutPrompts([str(number) for number in range(8)], prompts, prompts, references),
        training=(["The number 3 of an axis."], ["Return number 3."]),
        validation=(prompts[:2], references[:2]),
        is_clean=np.zeros(8, bool),
        config=config,
    )
    assert result.headline == "exact_match"
    baselines = {"nearest_neighbor", "most_frequent_completion", "first_sentence", "whole_prompt"}
    assert set(result.metrics.models) == {"model", *baselines}
    assert result.metrics.models["nearest_neighbor"]["exact_match"].value == 1 / 8
    difference = result.metrics.differences["model_minus_nearest_neighbor"]["exact_match"]
    assert difference.p_value == 2 / 2**7
    assert difference.verdict(lower_is_better=False) == "better"
    assert result.details["strongest_baseline"] in baselines
    assert "whole_prompt" not in result.details["completions"][0]  # it is the prompt
    assert result.details["by_label"] == []


def test_the_metric_by_label_is_that_of_the_documents_of_each_label():
    references = [f"answer {number}" for number in range(6)]
    labels = ["10 lists", "2 counting", "10 lists", "2 counting", "10 lists", ""]
    given = [*references[:3], "wrong", "wrong", "wrong"]
    config = CONFIG.model_copy(update={"completion": CONFIG.completion.model_copy(update={"metric": "exact_match"})})
    systems = {"model": TextMetrics(given, references), "whole_prompt": TextMetrics(references, references)}
    rows = metric_by_label(systems, labels, list("abcdef"), config)
    assert [(row["label"], row["n_documents"], row["model"]["value"]) for row in rows] == [
        ("", 1, 0.0),
        ("2 counting", 2, 1 / 2),
        ("10 lists", 3, 2 / 3),
    ]
    assert all(row["whole_prompt"]["value"] == 1.0 for row in rows)
    assert rows[2]["model"]["low"] == pytest.approx(binomtest(2, 3).proportion_ci().low)
    assert (
        metric_by_label(systems, ["one label"] * 6, list("abcdef"), config)
        == metric_by_label(systems, (), (), config)
        == []
    )
