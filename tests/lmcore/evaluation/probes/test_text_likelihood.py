from types import SimpleNamespace

import numpy as np
import pytest

from lmcore.evaluation.probes.text_likelihood import text_scorer
from lmcore.models.generative import TokenScores


def test_the_score_of_a_text_is_the_sum_over_its_tokens_without_the_end():
    tokenizer = SimpleNamespace(encode=lambda text: list(text.encode()), vocabulary=SimpleNamespace(end_of_text_id=0))

    def score(documents):
        values = -np.concatenate(documents).astype(float)
        return TokenScores(values, values)

    found = text_scorer(SimpleNamespace(score=score), tokenizer)(["ab", "", "a"])
    assert found.tolist() == pytest.approx([-(97 + 98), 0, -97])
