from lmcore.finetuning.classification.examples import classification_examples
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
