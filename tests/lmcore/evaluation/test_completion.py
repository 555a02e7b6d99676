from types import SimpleNamespace

import numpy as np
import pytest

from lmcore.evaluation.completion import complete_prompts, evaluate_completions, first_sentence
from tests.lmcore.evaluation.evaluation_settings import CONFIG


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Return the sum. Then more.", "Return the sum."),
        ("One line\nand another\n\nA paragraph", "One line and another"),
        ("Version 3.11 is out! Yes.", "Version 3.11 is out!"),
        ("  no end at all", "no end at all"),
        ("A name (e.g. an id) of it. More.", "A name (e.g. an id) of it."),
        ("今天下雨。明天不下。", "今天下雨。"),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_at_a_full_stop_or_a_blank_line(text, sentence):
    assert first_sentence(text) == sentence


def test_a_model_that_repeats_the_reference_is_better_than_first_sentences():
    references = [f"Return the number {number} of the axis." for number in range(8)]
    completions = {"model": references, "first_sentence": ["Something else."] * 8}
    metrics, signatures = evaluate_completions(completions, references, np.arange(8) < 5, CONFIG)
    assert metrics.counts == {"n_documents": 8, "n_documents_clean": 5}
    assert set(signatures) == set(metrics.models["first_sentence"]) - {f"{name}_clean" for name in signatures}
    for name, best in {"bleu": 100, "chrf": 100, "rouge_l": 100, "exact_match": 1, "token_f1": 1}.items():
        assert metrics.models["model"][name].value == pytest.approx(best)
        assert metrics.differences["model_minus_first_sentence"][f"{name}_clean"].low > 0


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
