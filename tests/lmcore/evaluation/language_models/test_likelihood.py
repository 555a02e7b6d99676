import numpy as np
import pytest

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.language_models.likelihood import BitsPerUnit, HeldOutDocuments


def test_a_uniform_model_has_the_vocabulary_as_its_perplexity_and_its_bits_spread_over_the_bytes():
    documents = held_out([4, 10], [12, 20])
    bits = documents.bits(np.full(14, -np.log(11)))
    bootstrap = Bootstrap(2, BootstrapConfig(num_resamples=100, confidence=0.9), seed=0)
    per_token, per_byte = BitsPerUnit(documents.n_tokens, bootstrap), BitsPerUnit(documents.n_bytes, bootstrap)
    perplexity = per_token.perplexity(bits)
    assert perplexity.value == pytest.approx(11)
    assert perplexity.low == pytest.approx(11)
    assert per_byte.estimate(bits).value == pytest.approx(14 * np.log2(11) / 32)
    per_character = BitsPerUnit(documents.n_characters, bootstrap)
    assert per_character.estimate(bits).value == pytest.approx(14 * np.log2(11) / 30)
    assert per_byte.difference(bits, bits * 2).value == pytest.approx(-14 * np.log2(11) / 32)


def test_the_bits_of_documents_are_the_sums_over_their_own_tokens():
    documents = held_out([2, 1, 3], [1, 1, 1])
    bits = documents.bits(-np.log(2.0) * np.arange(1, 7))
    np.testing.assert_allclose(bits, [3, 3, 15])


def held_out(n_tokens: list[int], n_bytes: list[int]) -> HeldOutDocuments:
    tokens = tuple(np.zeros(n, dtype=np.uint16) for n in n_tokens)
    ids = tuple(str(index) for index in range(len(n_tokens)))
    return HeldOutDocuments(ids=ids, tokens=tokens, n_bytes=np.array(n_bytes), n_characters=np.array(n_bytes) - 1)
