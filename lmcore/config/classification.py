"""Settings of fine-tuning a classifier."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from lmcore.config.base import Config, InitFrom, TruncationSide
from lmcore.config.families import Probability
from lmcore.config.training import FrozenLayers, LoRAConfig, TrainingConfig, measured_by, merged_only

ProblemType = Literal["single_label_classification", "multi_label_classification"]
"""Whether a text has exactly one label, or any number of them, as in ``transformers``."""
LabelColumn = Literal["label", "labels", "modules", "kind", "package", "source", "language", "completeness"]
"""The column of a document that holds its label; ``labels`` holds any number of them. Two are no columns: ``modules``
are labels from the name of what a docstring documents, ``numpy`` and ``numpy.linalg`` for ``numpy.linalg.norm``;
``completeness`` takes every document as a whole and cut off, with the labels ``complete`` and ``truncated``."""
SEVERAL = ("labels", "modules")
"""The columns with any number of labels."""
Pooling = Literal["mean_max", "last"]
"""Which features of a text the head reads: their mean and maximum over all tokens, or those of the last token."""
ClassWeights = Literal["balanced"] | dict[str, PositiveFloat]


class ClassificationTrainingConfig(Config):
    """Training of a classifier that predicts the label of a document, or its labels."""

    label_column: LabelColumn
    problem_type: ProblemType | None
    """None: ``multi_label_classification`` for ``labels`` and ``modules``, else ``single_label_classification``."""
    max_tokens: Annotated[int, Field(ge=2)]
    """How many tokens of a document the classifier reads."""
    truncation_side: TruncationSide
    """Which tokens of a longer document are left out: ``right`` reads its beginning, ``left`` its end."""
    pooling: Pooling
    max_train_samples: PositiveInt
    min_examples_per_label: PositiveInt
    """Labels with fewer training documents are not learned."""
    class_weights: ClassWeights | None
    """How much an example counts in the loss by its label (with several labels: how much the presence of a label
    counts). ``balanced``: all labels together count the same; a label that is not named has weight 1."""
    dropout: Probability
    init_from: InitFrom
    """``scratch`` has random weights in the shape of the language model, which shows what pretraining is worth."""
    vectors: Path | None
    """File of word vectors in GloVe's format, of the model's embedding size, from which the embeddings of its words
    start; None: no vectors."""
    lora: Annotated[LoRAConfig | None, merged_only("the head of a classifier is no adapter")]
    """Train adapters instead of the weights; None trains the weights."""
    frozen_layers: FrozenLayers
    """Leave the embeddings and this many of the first blocks as they are; None trains all weights."""
    training: Annotated[TrainingConfig, measured_by("accuracy", "macro_f1")]

    @property
    def is_multi_label(self) -> bool:
        """Whether a document may have any number of labels."""
        if self.problem_type is None:
            return self.label_column in SEVERAL
        return self.problem_type == "multi_label_classification"

    @model_validator(mode="after")
    def _has_one_label_in_a_column_of_one(self) -> Self:
        if self.problem_type == "single_label_classification" and self.label_column in SEVERAL:
            raise ValueError(
                f"label_column {self.label_column} holds any number of labels: set problem_type to "
                "multi_label_classification or null, or label_column to label"
            )
        return self
