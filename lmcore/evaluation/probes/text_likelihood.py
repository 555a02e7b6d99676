"""The log-probability of texts under a causal model."""

from collections.abc import Callable, Sequence

import numpy as np

from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.language_models.scoring import Scorer
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

TextScorer = Callable[[Sequence[str]], Floats]
"""Gives the natural logarithm of the probability of each text as the beginning of a document, (n_texts,)."""


def text_scorer(scorer: Scorer, tokenizer: Tokenizer) -> TextScorer:
    """A function that scores texts, without the end of the document, with a model."""

    def score(texts: Sequence[str]) -> Floats:
        tokens = [np.array(tokenizer.encode(text) or [tokenizer.vocabulary.end_of_text_id]) for text in texts]
        ends = np.cumsum([len(own) for own in tokens])
        parts = np.split(scorer.score(tokens).log_probabilities, ends[:-1])
        return np.array([part.sum() for part in parts])

    return score
