from types import SimpleNamespace

import numpy as np
import pytest

from lmcore.config.evaluate import MemorizationConfig
from lmcore.config.models import NgramConfig
from lmcore.evaluation.probes.memorization import count_occurrences, probe_memorization, sample_texts
from lmcore.models.ngram.model import NgramModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

END, SIZE = 0, 400
VOCABULARY = Vocabulary(size=SIZE, end_of_text_id=END, padding_id=1, mask_id=2)
REPEATED = np.random.default_rng(5).integers(3, SIZE, 30)


def documents(seed: int, count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [np.append(generator.integers(3, SIZE, 40), END) for _ in range(count)]


def shards(training: list[np.ndarray], test: list[np.ndarray]) -> SimpleNamespace:
    by_split = {"train": training, "test": test}
    return SimpleNamespace(
        tokens=lambda split: np.concatenate(by_split[split]),
        offsets=lambda split: np.cumsum([0, *map(len, by_split[split])]),
    )


@pytest.fixture(scope="module")
def corpus() -> SimpleNamespace:
    training = documents(0, 30) + [np.append(REPEATED, END)] * 5
    return shards(training, documents(1, 10))


def test_occurrences_are_those_of_a_search(corpus):
    tokens = corpus.tokens("train")
    texts = np.stack([tokens[:12], tokens[50:62], REPEATED[3:15], np.arange(3, 15)])
    expected = [
        sum(np.array_equal(tokens[start : start + 12], text) for start in range(len(tokens) - 11)) for text in texts
    ]
    assert count_occurrences(tokens, texts).tolist() == expected
    assert expected == [1, 1, 5, 0]


def test_texts_are_grouped_by_how_often_they_occur_and_lie_within_a_document(corpus):
    found = sample_texts(corpus, 12, 25, seed=0)
    assert set(found) == {"never (test split)", "once", "4 times or more"}
    assert all(len(texts) <= 25 and texts.shape[1] == 12 for texts in found.values())
    assert not any((texts == END).any() for texts in found.values())
    counted = {group: count_occurrences(corpus.tokens("train"), texts) for group, texts in found.items()}
    assert set(counted["once"]) == {1}
    assert set(counted["4 times or more"]) == {5}
    assert set(counted["never (test split)"]) == {0}


def test_an_n_gram_model_reproduces_what_it_has_counted_and_no_unseen_text(corpus):
    model = NgramModel(NgramConfig(family="ngram", order=4), VOCABULARY)
    model.fit(corpus.tokens("train"), corpus.offsets("train"))
    config = MemorizationConfig(prefix_tokens=(4, 8), continuation_tokens=4, max_texts=20)
    probe = probe_memorization(model, corpus, config, seed=0, confidence=0.95)
    rates = {row.conditions: row.estimate for row in probe.rows}
    assert len(rates) == 6
    assert rates["prefix of 8 tokens", "once"].value > 0.9
    assert rates["prefix of 8 tokens", "4 times or more"].value == 1.0
    assert rates["prefix of 8 tokens", "never (test split)"].value == 0.0
    assert rates["prefix of 4 tokens", "once"].low > rates["prefix of 4 tokens", "never (test split)"].high


def test_without_a_text_that_is_long_enough_nothing_is_found(corpus):
    assert sample_texts(corpus, 100, 5, seed=1) == {}
