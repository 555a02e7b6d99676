"""Rows and columns of the report's tables, selected from the metrics by the model's family.

Of documents that share text with the training split there may be none, or all: then there is one column where there
else are two, of clean and of all documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcore.evaluation.comparison import COMPARISONS, MODELS
from lmcore.evaluation.held_out_contamination import CLEAN
from lmcore.evaluation.intervals import Estimate
from lmcore.evaluation.names import (
    BAG_OF_WORDS,
    CHARACTER_NGRAMS,
    FIRST_SENTENCE,
    INTERPOLATION,
    MAJORITY,
    MODEL,
    NGRAM,
    NGRAM_ON_SEEN,
    SHORTER_NGRAM,
    UNIGRAM,
)


@dataclass(frozen=True)
class Column:
    """A measure as a column: its key among the figures, its title, and how many digits it has."""

    key: str
    title: str
    digits: int

    @property
    def file_name(self) -> str:
        """The measure's name for a file, whatever documents it is of."""
        return self.key.removesuffix(CLEAN).replace("_", "-")


MEASURES = {
    "causal": (Column("bits_per_byte", "Bits per byte", 3), Column("perplexity", "Perplexity", 2)),
    "masked": (
        Column("pseudo_bits_per_byte", "Pseudo bits per byte", 3),
        Column("pseudo_perplexity", "Pseudo-perplexity", 2),
    ),
    "encoder_decoder": (
        Column("bits_per_masked_token", "Bits per masked token", 3),
        Column("bits_per_target_token", "Bits per token of the whole text", 3),
    ),
}
"""The measures of a language model by what it predicts; the first is its headline."""

TRAINED_ON = {
    MODEL: "the tokens that it sampled from the training split",
    NGRAM: "the whole training split",
    SHORTER_NGRAM: "the whole training split",
    INTERPOLATION: "weights from the validation split",
    NGRAM_ON_SEEN: "the same tokens as the model",
    UNIGRAM: "the whole training split",
}


def verdict(difference: Mapping[str, float], *, lower_is_better: bool) -> str:
    """The verdict on a difference to a reference, given its interval: better, worse, or unclear."""
    low, high = difference["low"], difference["high"]
    if low <= 0 <= high:
        return "unclear"
    return "better" if (high < 0) == lower_is_better else "worse"


class View:
    """One part of the report: its figures, and which of them are shown.

    Args:
        found: the part's file of figures.
        measures: its measures, the headline first.
    """

    def __init__(self, found: Mapping[str, Any], measures: Sequence[Column]) -> None:
        self.found = found
        self.figures: Mapping[str, Any] = found["figures"]
        self.names: Mapping[str, str] = found["names"]
        n_clean = self.figures.get(f"n_documents{CLEAN}", 0)
        self.is_divided = 0 < n_clean < self.figures["n_documents"]
        """Whether some documents are clean, and others are not."""
        self.n_clean: int = n_clean
        self.columns = self._columns(measures)
        self.headline = self.columns[0]
        self.second = self.columns[2 if self.is_divided else 1]
        """The headline of the second measure."""

    def _columns(self, measures: Sequence[Column]) -> list[Column]:
        if not self.is_divided:
            return list(measures)
        clean = [Column(f"{own.key}{CLEAN}", f"{own.title} (clean)", own.digits) for own in measures]
        everything = [Column(own.key, f"{own.title} (all)", own.digits) for own in measures]
        return [column for pair in zip(clean, everything, strict=True) for column in pair]

    def value(self, model: str, column: Column | None = None) -> float:
        """A model's figure; its headline where no column is given."""
        return float(self.figures[model][(column or self.headline).key]["value"])

    def difference(self, model: str, reference: str, column: Column | None = None) -> Mapping[str, float]:
        """The figures' difference with its interval."""
        found: Mapping[str, float] = self.figures["differences"][f"{model}_minus_{reference}"][
            (column or self.headline).key
        ]
        return found


class LanguageModelView(View):
    """A language model of any family."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__(found, MEASURES[found["kind"]])
        self.kind: str = found["kind"]
        self.models = [name for name in (*MODELS, UNIGRAM) if name in self.figures]
        self.baselines = [name for name in self.models if name not in (MODEL, INTERPOLATION)]
        self.best = min(self.models, key=self.value)
        is_counted = self.kind == "causal" and NGRAM_ON_SEEN not in self.figures  # then it has seen everything
        self.trained_on = TRAINED_ON | ({MODEL: TRAINED_ON[NGRAM]} if is_counted else {})
        self.difference_columns = [
            column for column in self.columns if column.key.startswith(MEASURES[self.kind][0].key)
        ]
        pairs = (*COMPARISONS, (MODEL, UNIGRAM))
        self.pairs = [pair for pair in pairs if f"{pair[0]}_minus_{pair[1]}" in self.figures["differences"]]
        self.mixture: Mapping[str, Any] | None = found.get("mixture")
        self.documents: Sequence[Mapping[str, Any]] = found.get("documents", [])

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The headline of each model by what it is called."""
        return {self.names[name]: Estimate(**self.figures[name][self.headline.key]) for name in self.models}

    @property
    def surprised(self) -> list[str]:
        """Whose surprise at the pieces of documents is shown."""
        return [name for name in (MODEL, NGRAM, SHORTER_NGRAM) if name in self.figures]

    def verdict(self, difference: Mapping[str, float]) -> str:
        """Fewer bits are better."""
        return verdict(difference, lower_is_better=True)


class ClassifierView(View):
    """The classifier beside its baselines."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__(found, (Column("accuracy", "Accuracy", 1), Column("macro_f1", "Macro F1", 1)))
        self.models = [MODEL, CHARACTER_NGRAMS, BAG_OF_WORDS, MAJORITY]
        self.strongest: str = found["strongest_baseline"]

    def verdict(self, reference: str) -> str:
        """Whether the classifier is better than a baseline."""
        return verdict(self.difference(MODEL, reference), lower_is_better=False)


class CompletionView(View):
    """The completion model beside the first sentence of its prompts."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__(found, (Column("chrf", "chrF", 1), Column("bleu", "BLEU", 1), Column("rouge_l", "ROUGE-L", 1)))
        self.models = [MODEL, FIRST_SENTENCE]

    def verdict(self, column: Column) -> str:
        """Whether the completions are better than first sentences."""
        return verdict(self.difference(MODEL, FIRST_SENTENCE, column), lower_is_better=False)
