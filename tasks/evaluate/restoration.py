"""How well bidirectional models (masked, or encoder-decoder) fill masks, compared with token frequencies."""

import logging
from typing import Any

import numpy as np

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.bootstrap import Bootstrap
from lmcore.evaluation.contamination import Flags, Rows, on_all_and_clean
from lmcore.evaluation.likelihood import BitsPerUnit, HeldOutDocuments
from lmcore.evaluation.names import MODEL, UNIGRAM
from lmcore.evaluation.pseudo_likelihood import PseudoLikelihood
from lmcore.evaluation.restoration import Restoration
from lmcore.evaluation.unigram import unigram_log_probabilities
from lmcore.models.generative import SequenceToSequenceModel
from lmcore.models.trainable import MaskedModel
from lmcore.tokens.corpus.shards import TokenShards

logger = logging.getLogger(__name__)

PAIR = f"{MODEL}_minus_{UNIGRAM}"


def masked_figures(
    model: MaskedModel, shards: TokenShards, test: HeldOutDocuments, is_clean: Flags, config: EvaluateConfig
) -> dict[str, Any]:
    """Pseudo-likelihood of some tokens of each document, each predicted from all the others."""
    judge = PseudoLikelihood(model, batch_tokens=max(config.likelihood.batch_tokens, model.max_position_embeddings))
    found = judge.of_some(test.tokens, most=config.likelihood.max_masked_tokens, seed=config.seed)
    by_frequency = unigram_log_probabilities(shards.tokens("train"), shards.vocabulary_size)
    bits = {
        MODEL: np.array([document.bits() for document in found]),
        UNIGRAM: np.array([document.bits(by_frequency[document.tokens]) for document in found]),
    }
    n_tokens = np.array([document.n_tokens for document in found])

    def figures(rows: Rows) -> dict[str, Any]:
        bootstrap = Bootstrap(len(rows), config.bootstrap, config.seed)
        per_byte = BitsPerUnit(test.n_bytes[rows], bootstrap)
        per_token = BitsPerUnit(n_tokens[rows], bootstrap)
        of_models: dict[str, Any] = {
            name: {
                "pseudo_bits_per_byte": per_byte.of(values[rows]).as_dict(),
                "pseudo_perplexity": per_token.perplexity(values[rows]).as_dict(),
            }
            for name, values in bits.items()
        }
        difference = per_byte.difference(bits[MODEL][rows], bits[UNIGRAM][rows]).as_dict()
        n_guessed = sum(len(found[row].tokens) for row in rows)
        return of_models | {
            "differences": {PAIR: {"pseudo_bits_per_byte": difference}},
            "n_documents": len(rows),
            "n_predicted_tokens": n_guessed,
        }

    return _logged(on_all_and_clean(is_clean, figures), "pseudo_perplexity")


def encoder_decoder_figures(
    model: SequenceToSequenceModel, shards: TokenShards, test: HeldOutDocuments, is_clean: Flags, config: EvaluateConfig
) -> dict[str, Any]:
    """Likelihood of documents reconstructed from a source with masked spans."""
    judge = Restoration(model, batch_tokens=config.likelihood.batch_tokens, seed=config.seed)
    found = judge.score(test.tokens)
    by_frequency = unigram_log_probabilities(shards.tokens("train"), shards.vocabulary_size)
    log_probabilities = {
        MODEL: [document.log_probabilities for document in found],
        UNIGRAM: [by_frequency[tokens] for tokens in test.tokens],
    }
    masks = [document.is_masked for document in found]
    sums = {
        "bits_per_masked_token": (
            np.array([mask.sum() for mask in masks]),
            {
                name: np.array([-own[mask].sum() for own, mask in zip(values, masks, strict=True)]) / np.log(2)
                for name, values in log_probabilities.items()
            },
        ),
        "bits_per_target_token": (
            test.n_tokens,
            {name: np.array([-own.sum() for own in values]) / np.log(2) for name, values in log_probabilities.items()},
        ),
    }

    def figures(rows: Rows) -> dict[str, Any]:
        bootstrap = Bootstrap(len(rows), config.bootstrap, config.seed)
        of_models: dict[str, Any] = {MODEL: {}, UNIGRAM: {}}
        differences: dict[str, Any] = {}
        for measure, (units, bits) in sums.items():
            per_token = BitsPerUnit(units[rows], bootstrap)
            for name in of_models:
                of_models[name][measure] = per_token.of(bits[name][rows]).as_dict()
            differences[measure] = per_token.difference(bits[MODEL][rows], bits[UNIGRAM][rows]).as_dict()
        n_masked = int(sums["bits_per_masked_token"][0][rows].sum())
        sizes = {"n_documents": len(rows), "n_masked_tokens": n_masked}
        return of_models | {"differences": {PAIR: differences}} | sizes

    return _logged(on_all_and_clean(is_clean, figures), "bits_per_masked_token")


def _logged(figures: dict[str, Any], measure: str) -> dict[str, Any]:
    shown = ", ".join(f"{name} {figures[name][measure]['value']:.2f}" for name in (MODEL, UNIGRAM))
    logger.info("%s of %d test documents: %s", measure.replace("_", " "), figures["n_documents"], shown)
    return figures
