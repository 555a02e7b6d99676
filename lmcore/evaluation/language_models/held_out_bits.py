"""How many bits per byte a model of any family needs for the test split, and which measure that is.

Only causal models give the probability of a text. A masked model predicts a token from both sides, and an
encoder-decoder restores a text that it has mostly seen: their measures are different ones.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.intervals import Bootstrap, Floats
from lmcore.evaluation.language_models.likelihood import BitsPerUnit, HeldOutDocuments, read_held_out
from lmcore.evaluation.language_models.pseudo_likelihood import PseudoLikelihoodScorer
from lmcore.evaluation.language_models.reconstruction import ReconstructionScorer
from lmcore.evaluation.language_models.scoring import NeuralScorer, NgramScorer
from lmcore.evaluation.result import Estimate
from lmcore.models.generative import CausalModel, CountedModel
from lmcore.models.model import Model
from lmcore.models.sequence_to_sequence import SequenceToSequenceModel
from lmcore.models.trainable import MaskedModel
from lmcore.tokens.corpus.shards import TokenShards

Measure = Literal["bits_per_byte", "pseudo_bits_per_byte", "reconstruction_bits_per_byte"]


@dataclass(frozen=True)
class HeldOutBits:
    """Bits per byte of the test documents, with the name of the measure."""

    measure: Measure
    estimate: Estimate


def held_out_bits(model: Model, shards: TokenShards, config: EvaluateConfig) -> HeldOutBits:
    """Score the test split.

    Args:
        model: the model, on its device.
        shards: the tokenized corpus.
        config: limits, seed and intervals, as in the evaluation of the pipeline.

    Raises:
        TypeError: if a model of this family cannot be scored.
    """
    is_masked = isinstance(model, MaskedModel)
    limit = config.likelihood.max_masked_documents if is_masked else config.likelihood.max_documents
    test = read_held_out(
        shards, "test", limit, is_stream=config.likelihood.context == "stream" and not is_masked, seed=config.seed
    )
    measure, bits = _bits(model, test, config)
    per_byte = BitsPerUnit(test.n_bytes, Bootstrap(len(bits), config.bootstrap, config.seed))
    return HeldOutBits(measure, per_byte.estimate(bits))


def _bits(model: Model, test: HeldOutDocuments, config: EvaluateConfig) -> tuple[Measure, Floats]:
    """The bits of each document, (n_documents,)."""
    likelihood = config.likelihood
    match model:
        case MaskedModel():
            tokens = max(likelihood.batch_tokens, model.max_position_embeddings)
            masked = PseudoLikelihoodScorer(model, batch_tokens=tokens)
            found = masked.sample(test.tokens, max_tokens=likelihood.max_masked_tokens, seed=config.seed)
            return "pseudo_bits_per_byte", np.array([document.bits() for document in found])
        case SequenceToSequenceModel():
            scorer = ReconstructionScorer(model, batch_tokens=likelihood.batch_tokens, seed=config.seed)
            restored = scorer.score(test.tokens)
            bits = [-float(document.log_probabilities.sum()) / np.log(2.0) for document in restored]
            return "reconstruction_bits_per_byte", np.array(bits)
        case CountedModel():
            return "bits_per_byte", test.bits(NgramScorer(model).score(test.texts).log_probabilities)
        case CausalModel():
            return "bits_per_byte", test.bits(
                NeuralScorer(model, config=likelihood).score(test.texts).log_probabilities
            )
        case _:
            raise TypeError(f"a model of family {model.config.display_name} cannot be scored")
