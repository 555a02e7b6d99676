"""Exact match and token F1 of short answers, as in the evaluation of SQuAD
(Rajpurkar et al. 2016, https://aclanthology.org/D16-1264)."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lmcore.evaluation.intervals import ratio
from lmcore.evaluation.texts.statistics import MetricOfSums, ProportionOfTexts, TextMetric
from lmcore.finetuning.completion.answers import normalize_answer
from lmcore.text.words.segmentation import words_of

WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
NORMALIZATION = "case:lower|punctuation:no|articles:no"


def final_answers(texts: Sequence[str], separator: str | None) -> list[str]:
    """What follows the last ``separator`` of each text, which gives reasons first; a text without one is all answer.

    Case and white space do not count in the separator: word tokenizers write ``Answer:`` as ``answer :``.

    Args:
        texts: reasons, separator and answer.
        separator: such as ``Answer:``; None: the texts are answers.
    """
    if separator is None:
        return list(texts)
    pattern = re.compile(r"\s*".join(map(re.escape, WORD_OR_SIGN.findall(separator))), re.IGNORECASE)
    return [pattern.split(text)[-1].strip() for text in texts]


def token_f1(text: str, reference: str) -> float:
    """The harmonic mean of precision and recall of an answer's words, 0 to 1; 1 if both answers have none.

    Each character of a script without spaces between words is a word.
    """
    words, expected = words_of(normalize_answer(text)), words_of(normalize_answer(reference))
    if not words or not expected:
        return float(words == expected)
    n_common = sum((Counter(words) & Counter(expected)).values())
    return 2 * n_common / (len(words) + len(expected))


def answer_metrics(texts: Sequence[str], references: Sequence[str]) -> dict[str, TextMetric]:
    """``exact_match`` and ``token_f1`` of texts, 0 to 1."""
    pairs = list(zip(texts, references, strict=True))
    is_right = np.array([normalize_answer(text) == normalize_answer(reference) for text, reference in pairs], bool)
    scores = np.array([token_f1(text, reference) for text, reference in pairs])
    return {
        "exact_match": ProportionOfTexts(is_right, f"SQuAD|{NORMALIZATION}"),
        "token_f1": MetricOfSums(
            np.stack((scores, np.ones(len(scores))), axis=1), ratio, 1.0, f"SQuAD|{NORMALIZATION}|mean over texts"
        ),
    }
