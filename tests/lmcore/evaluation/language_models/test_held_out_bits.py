"""Bits per byte of the test split are those that the family's own scorer gives, under the name of their measure."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lmcore.config.models import NgramConfig
from lmcore.evaluation.language_models.held_out_bits import held_out_bits
from lmcore.models.families import build_model
from lmcore.tokens.corpus.shards import TokenShards
from tests.lmcore.evaluation.evaluation_settings import CONFIG
from tests.lmcore.models.small_models import CONFIGS, VOCABULARY

LENGTHS = (5, 12, 30)
CONTEXT = 16
ALL = CONFIG.model_copy(update={"likelihood": CONFIG.likelihood.model_copy(update={"max_masked_tokens": 100})})


@pytest.fixture(scope="module")
def shards() -> Any:
    generator = np.random.default_rng(0)
    documents = [np.append(generator.integers(3, VOCABULARY.size, length), 0) for length in LENGTHS]
    offsets = np.cumsum([0, *map(len, documents)])
    return SimpleNamespace(
        tokens=lambda _split: np.concatenate(documents),
        offsets=lambda _split: offsets,
        n_bytes=lambda _split: np.array(LENGTHS, dtype=np.int64) * 3,
        n_characters=lambda _split: np.array(LENGTHS, dtype=np.int64) * 3,
        document_ids=lambda _split: ["a", "b", "c"],
        vocabulary_size=VOCABULARY.size,
    )


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    return build_model(CONFIGS[family].model_copy(update={"max_position_embeddings": CONTEXT}), VOCABULARY).eval()


@torch.no_grad()
def bits_by_hand(model: Any, document: np.ndarray) -> float:
    """Token by token, each from as much of the document before it as the sliding window leaves."""
    framed = np.append([0], document)
    total = 0.0
    for position in range(1, len(framed)):
        before = position - 1
        stride = CONFIG.likelihood.window_stride_tokens
        end = CONTEXT if before < CONTEXT else CONTEXT + stride * (-(-(before + 1 - CONTEXT) // stride))
        start = max(0, min(end, len(document)) - CONTEXT)
        logits = model(torch.tensor(framed[start:position][None]))[0, -1]
        total -= float(logits.log_softmax(-1)[framed[position]])
    return total / np.log(2.0)


def test_a_causal_models_bits_are_those_of_each_token_given_those_before(shards: TokenShards) -> None:
    model = model_of("gpt")
    found = held_out_bits(model, shards, CONFIG)
    offsets, tokens = shards.offsets("test"), shards.tokens("test")
    bits = sum(bits_by_hand(model, tokens[start:end]) for start, end in pairwise(offsets))
    assert found.measure == "bits_per_byte"
    assert found.estimate.value == pytest.approx(bits / (3 * sum(LENGTHS)), rel=1e-5)
    assert found.estimate.low < found.estimate.value < found.estimate.high


def test_an_untrained_model_of_every_other_kind_is_near_the_bits_of_guessing(shards: TokenShards) -> None:
    guessing = np.log2(VOCABULARY.size) / 3
    for family, measure in (("bert", "pseudo_bits_per_byte"), ("encoder_decoder", "reconstruction_bits_per_byte")):
        found = held_out_bits(model_of(family), shards, ALL)
        assert found.measure == measure
        assert found.estimate.value == pytest.approx(guessing, rel=0.35)


def test_a_counted_model_is_scored_as_well(shards: TokenShards) -> None:
    model: Any = build_model(NgramConfig(family="ngram", order=2), VOCABULARY)
    model.fit(shards.tokens("test"), shards.offsets("test"))
    found = held_out_bits(model, shards, CONFIG)
    assert found.measure == "bits_per_byte"
    assert 0 < found.estimate.value < np.log2(VOCABULARY.size) / 3  # it has seen the text


def test_a_model_that_cannot_be_scored_is_refused(shards: TokenShards) -> None:
    with pytest.raises(TypeError, match="a model of family thing cannot be scored"):
        held_out_bits(SimpleNamespace(config=SimpleNamespace(display_name="thing")), shards, CONFIG)  # type: ignore[arg-type]
