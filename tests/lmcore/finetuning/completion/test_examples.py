import json

import pyarrow as pa
import pytest

from lmcore.config.completion import ParameterExtraction, ParameterQuestions, SummaryExamples, TargetExamples
from lmcore.errors import UserError
from lmcore.finetuning.classification.examples import classification_examples
from lmcore.finetuning.completion.examples import (
    check_variables,
    completion_columns,
    completion_examples,
    split_summary,
)
from lmcore.text.split import document_id, split_of
from tests.lmcore.finetuning.sample_documents import DOCUMENTS, FRACTIONS, TARGETS, TEXTS

LENGTHS = SummaryExamples(kind="summary", min_summary_characters=5, max_summary_characters=40, min_body_characters=10)


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        ("Do a thing.\n\nParameters\n----------\nx", ("Do a thing.", "Parameters\n----------\nx")),
        ("Do a thing\n    on two lines.\n\nA body it is.", ("Do a thing on two lines.", "A body it is.")),
        ("Do a thing.\n\n\n    indented body", ("Do a thing.", "    indented body")),
        ("No body follows.", None),
        ("Parameters\n----------\nfile : str\n\nA body it is.", None),
        ("Do a thing.\n\nshort", None),
        ("Tiny\n\nA body it is.", None),
        ("A summary so long that it is no summary at all.\n\nA body it is.", None),
        ("Do a thing.\n\nThe body says: Do a\nthing. Again.", None),
    ],
)
def test_a_text_is_split_at_its_first_blank_line(text: str, divided: tuple[str, str] | None) -> None:
    assert split_summary(text, LENGTHS) == divided


def test_completions_have_the_id_of_their_document() -> None:
    examples = completion_examples(DOCUMENTS, FRACTIONS, LENGTHS)
    assert sum(map(len, examples.values())) == len(TEXTS)
    for split, some in examples.items():
        for example in some:
            text = example.values["text"]
            assert document_id(f"{example.completion}\n\n{text}") == example.id
            assert split_of(example.id, FRACTIONS) == split


def test_targets_complete_their_text() -> None:
    examples = completion_examples(DOCUMENTS, FRACTIONS, TargetExamples(kind="target", question_separator=None))
    pairs = {(example.values["text"], example.completion) for some in examples.values() for example in some}
    assert pairs == {(text, target) for text, target in zip(TEXTS, TARGETS, strict=True) if target is not None}


def test_examples_are_in_the_split_that_their_source_gives() -> None:
    documents = DOCUMENTS.set_column(1, "split", pa.array(["validation"] * len(TEXTS)))
    labeled = classification_examples(documents, FRACTIONS, "label")
    completions = completion_examples(documents, FRACTIONS, LENGTHS)
    for split in ("train", "test"):
        assert not labeled[split].texts
        assert not completions[split]
    assert len(completions["validation"]) == len(TEXTS)


DOCUMENTED = "Do it.\n\nParameters\n----------\na : int\n    First.\nb : str or None, optional\n    Second."


def table_with(text: str) -> pa.Table:
    return pa.table({"id": ["x"], "split": ["train"], "text": [text], "target": pa.nulls(1, pa.string())})


def test_every_parameter_gives_a_question_on_the_same_context() -> None:
    config = ParameterQuestions(kind="parameter_questions", max_questions_per_document=2, max_context_characters=200)
    found = completion_examples(table_with(DOCUMENTED), FRACTIONS, config)["train"]
    assert [(example.values["question"], example.completion) for example in found] == [
        ("What is the type of the parameter a?", "int"),
        ("What is the type of the parameter b?", "str or None"),
    ]
    assert [example.values["parameter"] for example in found] == ["a", "b"]
    assert {example.values["context"] for example in found} == {DOCUMENTED.partition("\n\n")[2]}
    assert completion_examples(table_with("No parameters."), FRACTIONS, config)["train"] == []


def test_an_extraction_is_a_json_object_of_the_parameters() -> None:
    config = ParameterExtraction(kind="parameter_extraction", max_parameters=2, max_text_characters=200)
    examples = completion_examples(table_with(DOCUMENTED), FRACTIONS, config)["train"]
    found = [json.loads(example.completion) for example in examples]
    assert found == [{"a": "int"}, {"a": "int", "b": "str or None"}, {"b": "str or None"}]
    assert all(example.values["text"].startswith("Parameters") for example in examples)
    shorter = config.model_copy(update={"max_text_characters": max(len(own.values["text"]) for own in examples) - 1})
    assert len(completion_examples(table_with(DOCUMENTED), FRACTIONS, shorter)["train"]) == 2


def test_a_prompt_may_use_the_columns_of_a_document_but_not_its_target() -> None:
    assert completion_columns(("name", "question", "target")) == ("id", "split", "text", "target", "name")
    documents = DOCUMENTS.append_column("name", pa.array([None] * len(TEXTS), pa.string()))
    examples = completion_examples(documents, FRACTIONS, TargetExamples(kind="target", question_separator=None))
    check_variables(("text", "name"), examples)
    assert {example.values["name"] for example in examples["train"]} == {""}
    with pytest.raises(UserError, match="the prompt uses target, but these examples have only"):
        check_variables(("text", "target"), examples)


def test_a_text_is_divided_into_context_and_question_at_the_last_separator() -> None:
    documents = pa.table(
        {
            "id": ["x", "y"],
            "split": ["train", "train"],
            "text": ["A story.\nQ: no?\nQ: Who is it?", "Who?"],
            "target": ["me", "you"],
        }
    )
    config = TargetExamples(kind="target", question_separator="\nQ: ")
    found = completion_examples(documents, FRACTIONS, config)["train"]
    assert [(example.values["context"], example.values["question"]) for example in found] == [
        ("A story.\nQ: no?", "Who is it?"),
        ("", "Who?"),
    ]
