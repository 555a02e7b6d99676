import pyarrow as pa

from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.classification.completeness import MIN_WORDS
from lmcore.finetuning.classification.examples import classification_columns, classification_examples
from lmcore.text.split import document_id

TEXTS = [f"Return the {number}th value of the list,\nor None if it has fewer." for number in range(60)]
SHORT = "Five words are too few."


def documents(texts: list[str]) -> pa.Table:
    nothing = pa.nulls(len(texts), pa.string())
    return pa.table({"id": [document_id(text) for text in texts], "split": nothing, "text": texts})


def test_each_document_is_an_example_as_a_whole_and_cut_off_after_a_word() -> None:
    assert classification_columns("completeness") == ("id", "split", "text")
    fractions = SplitFractions(validation=0.0, test=0.0)
    found = classification_examples(documents([*TEXTS, SHORT]), fractions, "completeness")["train"]
    assert found.labels == ["complete", "truncated"] * len(TEXTS)
    assert found.texts[::2] == TEXTS
    assert found.ids[::2] == found.ids[1::2] == [document_id(text) for text in TEXTS]
    for text, truncated in zip(TEXTS, found.texts[1::2], strict=True):
        assert text.startswith(truncated)
        assert text[len(truncated)].isspace()
        assert MIN_WORDS <= len(truncated.split()) < len(text.split())
    n_words = {len(text.split()) for text in found.texts[1::2]}
    assert n_words == set(range(MIN_WORDS, len(TEXTS[0].split())))


def test_a_document_is_cut_at_the_same_word_wherever_it_is() -> None:
    fractions = SplitFractions(validation=0.0, test=0.0)
    forward, backward = (
        classification_examples(documents(texts), fractions, "completeness")["train"] for texts in (TEXTS, TEXTS[::-1])
    )
    assert set(forward.texts) == set(backward.texts)
