import pyarrow as pa

from lmcore.finetuning.classification.examples import classification_columns, classification_examples, modules_of
from lmcore.text.split import SPLITS, document_id, split_of
from tests.lmcore.finetuning.sample_documents import DOCUMENTS, FRACTIONS, LABELS, TEXTS


def test_labeled_texts_are_split_as_the_documents_are() -> None:
    examples = classification_examples(DOCUMENTS, FRACTIONS, "label")
    for split in SPLITS:
        expected = [
            (text, label)
            for text, label in zip(TEXTS, LABELS, strict=True)
            if label is not None and split_of(document_id(text), FRACTIONS) == split
        ]
        assert list(zip(examples[split].texts, examples[split].labels, strict=True)) == expected
        assert expected


def test_the_modules_of_a_name_are_labels() -> None:
    assert modules_of("numpy.linalg.norm") == ["numpy", "numpy.linalg"]
    assert modules_of("numpy") == []
    assert classification_columns("modules") == ("id", "split", "text", "name")
    names = [None if number % 2 else f"a.b{number % 3}.f" for number in range(len(TEXTS))]
    documents = DOCUMENTS.append_column("name", pa.array(names, pa.string()))
    found = classification_examples(documents, FRACTIONS, "modules")
    sets = [labels for split in SPLITS for labels in found[split].label_sets]
    assert len(sets) == len(TEXTS) // 2
    assert set(sets) == {("a", "a.b0"), ("a", "a.b1"), ("a", "a.b2")}
