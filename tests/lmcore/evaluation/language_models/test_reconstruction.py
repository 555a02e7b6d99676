"""Scores of an encoder-decoder are those of its own loss, one document at a time."""

import numpy as np
import pytest
import torch

from lmcore.evaluation.language_models.reconstruction import ReconstructionScorer
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.tokens.batches.corruption import corrupt, masked_spans
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.models.small_models import CONFIGS

VOCABULARY = Vocabulary(size=23, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = CONFIGS["encoder_decoder"].model_copy(update={"max_position_embeddings": 12})
SEED = 4


def make_model() -> EncoderDecoder:
    torch.manual_seed(0)
    model = EncoderDecoder(CONFIG, VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_documents(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [np.append(generator.integers(3, VOCABULARY.size, length), 0) for length in lengths]


@pytest.mark.parametrize("batch_tokens", [12, 40, 1000])
def test_scores_are_the_loss_of_each_document_on_its_own(batch_tokens: int) -> None:
    model, documents = make_model(), draw_documents(4, 11, 1, 7, 0)
    found = ReconstructionScorer(model, batch_tokens=batch_tokens, seed=SEED).score(documents)
    for number, (document, scores) in enumerate(zip(documents, found, strict=True)):
        masked = np.zeros(len(document), bool)
        if len(document) > 1:
            masked = masked_spans(len(document), CONFIG.corruption, np.random.default_rng([SEED, number]))
        source, target = torch.from_numpy(corrupt(document, masked, VOCABULARY)), torch.from_numpy(document)
        with torch.no_grad():
            loss = model.loss(source[None], target[None])
        assert -scores.log_probabilities.sum() == pytest.approx(loss.item(), rel=1e-4)
        assert scores.is_masked.tolist() == (masked & (document != 0)).tolist()


def test_a_document_longer_than_the_context_is_scored_in_segments() -> None:
    (document,) = draw_documents(40)
    (found,) = ReconstructionScorer(make_model(), batch_tokens=30, seed=SEED).score([document])
    assert (found.log_probabilities < 0).all()
    assert found.is_masked.any()
    assert not found.is_masked.all()
