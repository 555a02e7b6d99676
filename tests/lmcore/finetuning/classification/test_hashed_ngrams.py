import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from lmcore.finetuning.classification.hashed_ngrams import count_ngrams


@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (1, 3), (2, 4)])
def test_n_grams_are_counted_as_by_scikit_learn(shortest: int, longest: int) -> None:
    random = np.random.default_rng(0)
    sequences = [random.integers(1, 5, length).tolist() for length in (0, 1, 2, 7, 30)]
    codes = np.array([code for sequence in sequences for code in sequence], np.uint64)
    lengths = np.array([len(sequence) for sequence in sequences])
    ours = count_ngrams(codes, lengths, shortest=shortest, longest=longest, num_buckets=1 << 20)
    vectorizer = CountVectorizer(ngram_range=(shortest, longest), token_pattern=r"\d+")
    theirs = vectorizer.fit_transform([" ".join(map(str, sequence)) for sequence in sequences])
    assert ours.shape == (5, 1 << 20)
    for row in range(5):
        assert sorted(ours[row].data) == sorted(theirs[row].data)
    assert len(np.unique(ours.indices)) == theirs.shape[1]  # equal n-grams share a column in all rows, others do not


def test_few_columns_are_shared() -> None:
    codes, lengths = np.arange(100, dtype=np.uint64), np.array([60, 40])
    found = count_ngrams(codes, lengths, shortest=1, longest=1, num_buckets=8)
    assert np.asarray(found.sum(axis=1)).ravel().tolist() == [60.0, 40.0]
    assert found.shape == (2, 8)
