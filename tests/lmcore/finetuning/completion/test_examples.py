import pyarrow as pa
import pytest

from lmcore.config.completion import SummaryExamples, TargetExamples
from lmcore.finetuning.classification.examples import classification_examples
from lmcore.finetuning.completion.examples import completion_examples, split_summary
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
            assert document_id(f"{example.completion}\n\n{example.prompt}") == example.id
            assert split_of(example.id, FRACTIONS) == split


def test_targets_complete_their_text() -> None:
    examples = completion_examples(DOCUMENTS, FRACTIONS, TargetExamples(kind="target"))
    pairs = {(example.prompt, example.completion) for some in examples.values() for example in some}
    assert pairs == {(text, target) for text, target in zip(TEXTS, TARGETS, strict=True) if target is not None}


def test_examples_are_in_the_split_that_their_source_gives() -> None:
    documents = DOCUMENTS.set_column(1, "split", pa.array(["validation"] * len(TEXTS)))
    labeled = classification_examples(documents, FRACTIONS)
    completions = completion_examples(documents, FRACTIONS, LENGTHS)
    for split in ("train", "test"):
        assert not labeled[split].texts
        assert not completions[split]
    assert len(completions["validation"]) == len(TEXTS)
