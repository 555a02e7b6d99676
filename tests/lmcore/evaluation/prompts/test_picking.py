"""Examples of prompts come from the training split, are the same every time, and never ask what is asked."""

import pyarrow as pa
import pytest

from lmcore.config.prompts import LabelAnswers, PromptVariant
from lmcore.evaluation.prompts.picking import ExamplePicker, prompt_columns, prompt_examples
from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.text.split import SPLITS
from tests.lmcore.evaluation.evaluation_settings import CONFIG
from tests.lmcore.finetuning.sample_documents import DOCUMENTS, FRACTIONS, LABELS

FEATURES = CONFIG.completion.neighbors.words
POOL = [
    CompletionExample(str(number), {"text": f"the {word} runs"}, word)
    for number, word in enumerate(["cat", "dog", "bird", "fish", "horse"])
]


def variant(num_fewshot: int, picker: str | None) -> PromptVariant:
    return PromptVariant.model_validate(
        {"name": "a", "template": "x", "num_fewshot": num_fewshot, "example_picker": picker}, strict=False
    )


def test_similar_examples_end_with_the_most_similar_one() -> None:
    asked = [CompletionExample("x", {"text": "a fish and a dog, and a fish"}, "?")]
    (found,) = ExamplePicker(POOL, FEATURES, seed=1).pick(variant(2, "similarity"), asked)
    assert {example.completion for example in found} == {"fish", "dog"}
    assert found[-1].completion == "fish"


def test_random_examples_are_the_same_for_all_prompts_and_depend_on_the_seed() -> None:
    asked = [CompletionExample("x", {"text": "one"}, "?"), CompletionExample("y", {"text": "two"}, "?")]

    def picked(seed: int) -> list[list[str]]:
        chosen = ExamplePicker(POOL, FEATURES, seed=seed).pick(variant(3, "random"), asked)
        return [[example.id for example in one] for one in chosen]

    assert picked(1) == picked(1)
    assert picked(1)[0] == picked(1)[1]
    assert len({tuple(picked(seed)[0]) for seed in range(8)}) > 1


@pytest.mark.parametrize("picker", ["random", "similarity"])
def test_what_is_asked_is_never_an_example(picker: str) -> None:
    for asked in POOL:
        (found,) = ExamplePicker(POOL, FEATURES, seed=1).pick(variant(5, picker), [asked])
        assert asked not in found
        assert len(found) == len(POOL) - 1


def test_without_examples_nothing_is_picked() -> None:
    assert ExamplePicker(POOL, FEATURES, seed=1).pick(variant(0, None), POOL[:2]) == [[], []]
    with pytest.raises(ValueError, match="example_picker must be random or similarity with examples"):
        variant(2, None)


def test_a_label_is_the_answer_and_no_variable() -> None:
    config = LabelAnswers(kind="label", column="label")
    assert set(prompt_columns(config, ("text",))) == {"id", "split", "text", "target", "label"}
    found = prompt_examples(DOCUMENTS, FRACTIONS, config)
    everything = [example for split in SPLITS for example in found[split]]
    assert sorted(example.completion for example in everything) == sorted(filter(None, LABELS))
    assert {tuple(example.values) for example in everything} == {("text",)}
    assert isinstance(DOCUMENTS, pa.Table)
