import gzip
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.models.ngram.counts import sort_with_positions
from lmcore.models.ngram.kneser_ney import KneserNey, estimate_discounts

PENN_TREEBANK = Path(__file__).parents[3] / "../shared/data/ptb"
VOCABULARY_SIZE = 7

documents_of_tokens = st.lists(
    st.lists(st.integers(0, VOCABULARY_SIZE - 2), max_size=12).map(lambda tokens: [*tokens, VOCABULARY_SIZE - 1]),
    min_size=1,
    max_size=12,
)


class TextbookKneserNey:
    """Equations 4.31 to 4.36 of Chen and Goodman (1998), one n-gram at a time, with dictionaries and sets."""

    def __init__(self, documents: list[list[int]], order: int, vocabulary_size: int, start_token: int) -> None:
        self.order, self.vocabulary_size, self.start_token = order, vocabulary_size, start_token
        frequency: Counter[tuple[int, ...]] = Counter()
        before: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for document in documents:
            sentence = [start_token, *document]
            for end in range(2, len(sentence) + 1):
                frequency[(sentence[end - 1],)] += 1
                for begin in range(max(0, end - order), end - 1):
                    frequency[tuple(sentence[begin:end])] += 1
                for begin in range(1, end):
                    before[tuple(sentence[begin:end])].add(sentence[begin - 1])
        self.counts = {
            ngram: len(before[ngram]) if len(ngram) < order and before[ngram] else count
            for ngram, count in frequency.items()
        }
        self.discounts = {n: self._discounts(n) for n in range(1, order + 1)}

    def _discounts(self, length: int) -> list[float]:
        counts = [count for ngram, count in self.counts.items() if len(ngram) == length]
        n1, n2, n3, n4 = (sum(count == k for count in counts) for k in (1, 2, 3, 4))
        if not (n1 and n2 and n3 and n4):
            return [0.0, 0.5, 1.0, 1.5]
        y = n1 / (n1 + 2 * n2)
        first = 1 - 2 * y * n2 / n1
        second, third = 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return [0.0, first, second if second > 0 else first, third if third > 0 else first]

    def probability(self, token: int, context: tuple[int, ...]) -> float:
        length = len(context) + 1
        continuations = {n[-1]: c for n, c in self.counts.items() if n[:-1] == context}
        lower = self.probability(token, context[1:]) if context else 1 / self.vocabulary_size
        total = sum(continuations.values())
        if not total:
            return lower
        discount = self.discounts[length]
        count = continuations.get(token, 0)
        given_away = sum(discount[min(c, 3)] for c in continuations.values())
        return (count - discount[min(count, 3)] + given_away * lower) / total

    def log_probabilities(self, document: list[int]) -> list[float]:
        sentence = [self.start_token, *document]
        contexts = [tuple(sentence[max(0, end - self.order + 1) : end]) for end in range(1, len(sentence))]
        return [math.log(self.probability(token, c)) for token, c in zip(document, contexts, strict=True)]


def flatten(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.array([token for document in documents for token in document], dtype=np.uint16)
    return tokens, np.cumsum([0, *map(len, documents)])


def train(documents: list[list[int]], order: int, vocabulary_size: int = VOCABULARY_SIZE) -> KneserNey:
    tokens, offsets = flatten(documents)
    return KneserNey.train(
        tokens, offsets, order=order, vocabulary_size=vocabulary_size, start_token=vocabulary_size - 1
    )


def random_documents(seed: int, n_documents: int, vocabulary_size: int) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    shares = 1 / np.arange(1, vocabulary_size)
    shares /= shares.sum()
    lengths = generator.integers(0, 40, n_documents)
    return [
        [*generator.choice(vocabulary_size - 1, length, p=shares).tolist(), vocabulary_size - 1] for length in lengths
    ]


@settings(max_examples=40, deadline=None)
@given(training=documents_of_tokens, held_out=documents_of_tokens, order=st.integers(1, 5))
def test_probabilities_equal_those_of_a_textbook_implementation(training, held_out, order):
    textbook = TextbookKneserNey(training, order, VOCABULARY_SIZE, VOCABULARY_SIZE - 1)
    ours = train(training, order).log_probabilities([np.array(document) for document in held_out])
    for document, values in zip(held_out, ours, strict=True):
        np.testing.assert_allclose(values, textbook.log_probabilities(document), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_estimated_discounts_and_probabilities_equal_the_textbook_on_a_corpus_with_all_counts_of_counts(order):
    training, held_out = random_documents(0, 120, 30), random_documents(1, 4, 30)
    textbook = TextbookKneserNey(training, order, 30, 29)
    model = train(training, order, 30)
    expected = [textbook.discounts[length][1:] for length in range(1, order + 1)]
    np.testing.assert_allclose(model.discounts, expected, rtol=1e-12)
    ours = np.concatenate(model.log_probabilities([np.array(document) for document in held_out]))
    theirs = np.concatenate([textbook.log_probabilities(document) for document in held_out])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    training=documents_of_tokens,
    context=st.lists(st.integers(0, VOCABULARY_SIZE - 1), max_size=6),
    order=st.integers(1, 5),
)
def test_the_distribution_after_any_context_is_positive_and_sums_to_one(training, context, order):
    distribution = train(training, order).distribution(context)
    assert distribution.shape == (VOCABULARY_SIZE,)
    assert distribution.min() > 0
    assert distribution.sum() == pytest.approx(1, abs=1e-12)


def test_the_distribution_agrees_with_the_log_probabilities():
    model = train(random_documents(2, 50, 20), 4, 20)
    document = np.array(random_documents(3, 1, 20)[0])
    stepwise = [model.distribution(document[:position].tolist())[token] for position, token in enumerate(document)]
    np.testing.assert_allclose(np.exp(model.log_probabilities([document])[0]), stepwise, rtol=1e-12)


def test_tokens_never_seen_share_the_uniform_mass():
    distribution = train([[0, 1, 0, 6], [1, 0, 6]], 3).distribution([0])
    assert distribution[2] == distribution[3] > 0


def test_the_context_of_a_first_token_is_the_start_and_never_the_document_before():
    training = [[0, 1, 2, 6]] * 5 + [[3, 4, 5, 6]] * 5
    model = train(training, 5)
    first, second = np.array([0, 1, 2, 6]), np.array([3, 4, 5, 6])
    together = model.log_probabilities([first, second])
    np.testing.assert_array_equal(together[1], model.log_probabilities([second])[0])


def test_a_span_from_the_middle_of_a_text_teaches_nothing_about_how_texts_begin():
    tokens, offsets = flatten([[0, 1, 6], [2, 3, 6]])
    options = {"order": 3, "vocabulary_size": VOCABULARY_SIZE, "start_token": 6}
    model = KneserNey.train(tokens, offsets, continued=np.array([False, True]), **options)
    beginnings = model.distribution([])
    assert beginnings[0] > beginnings[2]
    assert beginnings[2] == beginnings[3]
    assert model.distribution([2])[3] > model.distribution([2])[1]


@pytest.mark.parametrize("largest", [2**20, 2**62])
def test_keys_are_sorted_with_their_positions_be_they_small_or_large(largest):
    keys = np.random.default_rng(6).integers(0, largest, 1000)
    ordered, positions = sort_with_positions(keys)
    np.testing.assert_array_equal(ordered, np.sort(keys))
    np.testing.assert_array_equal(keys[positions], ordered)


def test_discounts_are_never_zero_however_odd_the_counts_of_counts():
    odd = np.repeat([1, 2, 3, 4], [1, 50, 50, 400])
    assert np.all(estimate_discounts(odd)[1:] > 0)


def test_a_saved_model_is_the_same_model(tmp_path):
    model = train(random_documents(4, 60, 25), 4, 25)
    model.save(tmp_path / "model.safetensors")
    loaded = KneserNey.load(tmp_path / "model.safetensors")
    document = [np.array(random_documents(5, 1, 25)[0])]
    np.testing.assert_array_equal(loaded.log_probabilities(document)[0], model.log_probabilities(document)[0])
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_token_outside_the_vocabulary_is_an_error_that_names_the_range():
    with pytest.raises(ValueError, match=r"0 and 6 .* between 0 and 9"):
        train([[0, 9, 6]], 2)
    with pytest.raises(ValueError, match="at least 1; it is 0"):
        train([[0, 6]], 0)


@pytest.mark.skipif(not PENN_TREEBANK.exists(), reason=f"Penn Treebank is not in {PENN_TREEBANK}")
def test_the_perplexity_of_a_5_gram_on_penn_treebank_is_the_published_one():
    vocabulary: dict[str, int] = {}
    texts = {name: read_sentences(PENN_TREEBANK / f"{name}.txt.gz", vocabulary) for name in ("train", "test")}
    tokens, offsets = flatten(texts["train"])
    end = vocabulary["</s>"]
    model = KneserNey.train(tokens, offsets, order=5, vocabulary_size=len(vocabulary), start_token=end)
    scores = np.concatenate(model.log_probabilities([np.array(sentence) for sentence in texts["test"]]))
    assert np.exp(-scores.mean()) == pytest.approx(141.2, abs=1)


def read_sentences(path: Path, vocabulary: dict[str, int]) -> list[list[int]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        sentences = [[*line.split(), "</s>"] for line in file]
    return [[vocabulary.setdefault(word, len(vocabulary)) for word in sentence] for sentence in sentences]


@given(documents=documents_of_tokens, context=st.lists(st.integers(0, VOCABULARY_SIZE - 1), max_size=5))
@settings(max_examples=50)
def test_the_draft_is_the_most_frequent_token_after_the_longest_known_context(
    documents: list[list[int]], context: list[int]
) -> None:
    start = VOCABULARY_SIZE - 1
    book = TextbookKneserNey(documents, 3, VOCABULARY_SIZE, start)
    stream = np.array([token for document in documents for token in document])
    offsets = np.cumsum([0, *map(len, documents)])
    model = KneserNey.train(stream, offsets, order=3, vocabulary_size=VOCABULARY_SIZE, start_token=start)
    expected = None
    for length in (2, 1):
        known = {n[-1]: count for n, count in book.counts.items() if n[:-1] == tuple(context[-length:])}
        if len(context) >= length and known:
            expected = min(known, key=lambda token: (-known[token], token))
            break
    assert model.most_frequent_next(context) == expected
