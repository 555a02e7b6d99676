from lmcore.finetuning.examples import choose_examples, rows_by_split
from lmcore.text.split import split_of
from tests.lmcore.finetuning.sample_documents import DOCUMENTS, FRACTIONS


def test_a_sample_keeps_the_order_and_has_no_example_twice() -> None:
    chosen = choose_examples(range(100), 20, seed=3)
    assert len(set(chosen)) == 20
    assert chosen == sorted(chosen)
    assert chosen == choose_examples(range(100), 20, seed=3)
    assert chosen != choose_examples(range(100), 20, seed=4)
    assert choose_examples(range(5), 20, seed=3) == list(range(5))


def test_each_row_has_its_split() -> None:
    rows = list(rows_by_split(DOCUMENTS, FRACTIONS, "id", "text"))
    assert [row[2] for row in rows] == DOCUMENTS["text"].to_pylist()
    assert all(split == split_of(identity, FRACTIONS) for split, identity, _ in rows)
