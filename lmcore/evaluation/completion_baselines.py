"""Baselines for a model that answers prompts: they need no training, and are hard to beat where answers repeat.

* **nearest neighbor**: the completion of the training prompt that is most similar to the prompt, by the cosine of
  weighted n-grams of words or of characters, whichever finds the better completions on the validation split;
* **most frequent completion** of the training examples;
* **first sentence** of the prompt, and the **whole prompt**.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmcore.config.evaluate import CompletionEvaluationConfig
from lmcore.evaluation.names import FIRST_SENTENCE, FREQUENT_COMPLETION, NEAREST_NEIGHBOR, WHOLE_PROMPT
from lmcore.evaluation.ngram_features import character_features, word_features
from lmcore.evaluation.texts.metrics import TextMetrics

SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s|\n\s*\n|(?<=[\u3002\uff01\uff1f])(?![\u201d\u300d])")
ROWS_AT_ONCE = 256

Pairs = tuple[Sequence[str], Sequence[str]]
"""Prompts and the completion of each."""


@dataclass(frozen=True)
class CompletionBaselines:
    """What the baselines answer.

    Attributes:
        completions: by baseline the completion of each prompt.
        names: the name of each baseline in text.
        validation: the metric of each baseline on the validation prompts.
    """

    completions: dict[str, list[str]]
    names: dict[str, str]
    validation: dict[str, float]

    @property
    def strongest(self) -> str:
        """The baseline with the best metric on the validation prompts, on ties the first."""
        return max(self.validation, key=lambda name: self.validation[name])


def completion_baselines(
    training: Pairs, validation: Pairs, prompts: Sequence[str], config: CompletionEvaluationConfig
) -> CompletionBaselines:
    """Answer prompts by the baselines.

    Args:
        training: the examples that the model was trained on.
        validation: examples that select features and the strongest baseline; without any, the first of each is taken.
        prompts: the prompts to answer.
        config: the metric that selects, and the features.
    """
    asked = [*validation[0], *prompts]
    n_validation = len(validation[0])
    neighbors = {
        "words": _nearest_completions(training, word_features((training[0], asked), config.neighbors.words)),
        "characters": _nearest_completions(
            training, character_features((training[0], asked), config.neighbors.characters)
        ),
    }
    frequent = most_frequent(training[1])

    def measured(answers: dict[str, list[str]]) -> dict[str, float]:
        if n_validation == 0:
            return dict.fromkeys(answers, 0.0)
        return {
            name: TextMetrics(own[:n_validation], validation[1]).value(config.metric) for name, own in answers.items()
        }

    by_features = measured(neighbors)
    features = max(by_features, key=lambda name: by_features[name])
    answers = {
        NEAREST_NEIGHBOR: neighbors[features],
        FREQUENT_COMPLETION: [frequent] * len(asked),
        FIRST_SENTENCE: [first_sentence(prompt) for prompt in asked],
        WHOLE_PROMPT: list(asked),
    }
    names = {
        NEAREST_NEIGHBOR: f"nearest training prompt (n-grams of {features})",
        FREQUENT_COMPLETION: "most frequent completion",
        FIRST_SENTENCE: "first sentence of the prompt",
        WHOLE_PROMPT: "the whole prompt",
    }
    return CompletionBaselines({name: own[n_validation:] for name, own in answers.items()}, names, measured(answers))


def most_frequent(texts: Sequence[str]) -> str:
    """The most frequent text, on ties the first in alphabetical order; empty if there is none."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text), default="")


def first_sentence(text: str) -> str:
    """A text up to its first sentence end or blank line, with collapsed white space."""
    return " ".join(SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())


def _nearest_completions(training: Pairs, features: Sequence[Any]) -> list[str]:
    """The completion of the training prompt with the highest cosine, on ties the first."""
    known, asked = features  # rows of length 1
    found: list[str] = []
    for start in range(0, asked.shape[0], ROWS_AT_ONCE):
        similarity = (asked[start : start + ROWS_AT_ONCE] @ known.T).toarray()
        found += [training[1][index] for index in np.asarray(similarity).argmax(axis=1)]
    return found
