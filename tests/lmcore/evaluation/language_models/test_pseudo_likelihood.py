"""Pseudo-likelihood: masking one token at a time gives the same scores as batches of masked tokens."""

import math

import numpy as np
import pytest
import torch

from lmcore.config.families import MaskingConfig
from lmcore.config.published_models import BERTConfig
from lmcore.evaluation.language_models.pseudo_likelihood import PseudoLikelihoodScorer
from lmcore.models.bert.model import BERT
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=23, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = BERTConfig(
    family="bert",
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=12,
    dropout=0.1,
    masking=MaskingConfig(mlm_probability=0.15, use_whole_words=False),
)


def make_model() -> BERT:
    torch.manual_seed(0)
    model = BERT(CONFIG, VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def draw_documents(*lengths: int) -> list[np.ndarray]:
    """Documents of so many tokens and the end token."""
    generator = np.random.default_rng(0)
    return [np.append(generator.integers(3, VOCABULARY.size, length), 0) for length in lengths]


@torch.no_grad()
def one_by_one(model: BERT, document: np.ndarray) -> list[float]:
    """Every token masked in turn in the whole document, after an end token."""
    model.eval()
    scores = []
    for index, token in enumerate(document[:-1]):
        tokens = torch.tensor([[0, *document]])
        tokens[0, index + 1] = VOCABULARY.mask_id
        scores.append(model(tokens).log_softmax(dim=-1)[0, index + 1, token].item())
    return scores


@pytest.mark.parametrize("batch_tokens", [12, 30, 1000])
def test_scores_are_those_of_one_masked_token_at_a_time(batch_tokens: int) -> None:
    model, documents = make_model(), draw_documents(4, 10, 1, 7)
    scores = PseudoLikelihoodScorer(model, batch_tokens=batch_tokens).log_probabilities(documents)
    for score, document in zip(scores, documents, strict=True):
        assert score == pytest.approx(one_by_one(model, document), abs=1e-5)


def test_a_token_of_a_long_document_is_predicted_from_the_context_around_it() -> None:
    model, (document,) = make_model(), draw_documents(40)
    scorer = PseudoLikelihoodScorer(model, batch_tokens=100)
    (before,) = scorer.log_probabilities([document])
    assert len(before) == 40
    changed = document.copy()
    changed[20] = (changed[20] - 2) % 20 + 3
    (after,) = scorer.log_probabilities([changed])
    # With the end token before it, index 20 is the 21st, and among the 12 that are read around indices 15 to 26.
    touched = np.flatnonzero(~np.isclose(before, after, rtol=0, atol=1e-7))
    assert touched.tolist() == list(range(15, 27))


def test_pseudo_perplexity_is_that_of_the_mean_over_all_tokens() -> None:
    model, documents = make_model(), draw_documents(4, 9)
    expected = [score for document in documents for score in one_by_one(model, document)]
    perplexity = PseudoLikelihoodScorer(model, batch_tokens=50).pseudo_perplexity(documents)
    assert perplexity == pytest.approx(math.exp(-sum(expected) / 13), rel=1e-5)


def test_an_untrained_model_has_the_vocabulary_size_as_its_pseudo_perplexity() -> None:
    torch.manual_seed(0)
    scorer = PseudoLikelihoodScorer(BERT(CONFIG, VOCABULARY), batch_tokens=50)
    assert scorer.pseudo_perplexity(draw_documents(9, 9, 9)) == pytest.approx(VOCABULARY.size, rel=0.1)


def test_without_tokens_the_pseudo_perplexity_is_undefined() -> None:
    scorer = PseudoLikelihoodScorer(make_model(), batch_tokens=50)
    assert [len(score) for score in scorer.log_probabilities(draw_documents(0))] == [0]
    with pytest.raises(ValueError, match="none of the 1 documents has a token"):
        scorer.pseudo_perplexity(draw_documents(0))
    with pytest.raises(ValueError, match="less than the model's context of 12"):
        PseudoLikelihoodScorer(make_model(), batch_tokens=11)
