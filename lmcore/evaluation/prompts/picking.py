"""Picks the training examples that a prompt shows; the same inputs give the same examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lmcore.config.base import Split
from lmcore.config.evaluate import WordNgramsConfig
from lmcore.config.prompts import LabelAnswers, PromptExamples, PromptVariant
from lmcore.config.tokenize import SplitFractions
from lmcore.evaluation.ngram_features import word_features
from lmcore.finetuning.completion.examples import (
    CompletionExample,
    completion_columns,
    completion_examples,
    document_values,
)
from lmcore.finetuning.examples import rows_by_split
from lmcore.text.split import SPLITS


def prompt_columns(config: PromptExamples, variables: Sequence[str]) -> tuple[str, ...]:
    """The columns of the documents that :func:`prompt_examples` reads for prompts with these variables."""
    own = (config.column,) if isinstance(config, LabelAnswers) else ()
    return tuple(dict.fromkeys((*completion_columns(variables), *own)))


def prompt_examples(
    documents: Any, fractions: SplitFractions, config: PromptExamples
) -> dict[Split, list[CompletionExample]]:
    """What is asked and answered, by split, in the order of the documents.

    Args:
        documents: clean documents with the columns of :func:`prompt_columns`, a table of pyarrow.
        fractions: fractions of held-out documents, as for the language model.
        config: what the examples are.
    """
    if not isinstance(config, LabelAnswers):
        return completion_examples(documents, fractions, config)
    examples: dict[Split, list[CompletionExample]] = {split: [] for split in SPLITS}
    rows = rows_by_split(documents, fractions, "id", config.column)
    for (split, identity, label), values in zip(rows, document_values(documents), strict=True):
        if label is not None:
            known = {name: value for name, value in values.items() if name != config.column}
            examples[split].append(CompletionExample(identity, known, label))
    return examples


class ExamplePicker:
    """Picks examples for prompts.

    Args:
        pool: training examples; none of them is from the test split.
        features: the words by which examples are similar.
        seed: the seed of random examples.
    """

    def __init__(self, pool: Sequence[CompletionExample], features: WordNgramsConfig, *, seed: int) -> None:
        self._pool, self._features, self._seed = pool, features, seed

    def pick(self, variant: PromptVariant, asked: Sequence[CompletionExample]) -> list[list[CompletionExample]]:
        """The examples for the prompt of each example to answer; none of them asks the same."""
        if variant.example_picker is None or not self._pool:
            return [[] for _ in asked]
        if variant.example_picker == "random":
            order = np.random.default_rng(self._seed).permutation(len(self._pool))
            return [self._first(order, example, variant.num_fewshot) for example in asked]
        known, wanted = word_features(
            ([_text(example) for example in self._pool], [_text(example) for example in asked]), self._features
        )
        similarity = np.asarray((wanted @ known.T).toarray())
        return [
            self._first(np.argsort(-row, kind="stable"), example, variant.num_fewshot)[::-1]
            for row, example in zip(similarity, asked, strict=True)
        ]

    def _first(self, order: npt.NDArray[np.integer], asked: CompletionExample, count: int) -> list[CompletionExample]:
        found: list[CompletionExample] = []
        for index in order:
            if len(found) == count:
                break
            if self._pool[index].values != asked.values:
                found.append(self._pool[index])
        return found


def _text(example: CompletionExample) -> str:
    return "\n".join(example.values.values())
