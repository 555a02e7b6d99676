"""Settings of fine-tuning a classifier."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from lmcore.config.base import SCRATCH, Config, InitFrom, TruncationSide
from lmcore.config.families import Probability
from lmcore.config.training import FrozenLayers, LoRAConfig, TrainingConfig, measured_by, merged_only

ProblemType = Literal["single_label_classification", "multi_label_classification"]
"""Whether a text has exactly one label, or any number of them, as in ``transformers``."""
LabelColumn = Literal["label", "labels", "modules", "kind", "package", "source", "language", "completeness"]
"""The column of a document that holds its label; ``labels`` holds any number of them. Two values are not columns:
``modules`` derives labels from the name of the documented object, ``numpy`` and ``numpy.linalg`` for
``numpy.linalg.norm``; ``completeness`` uses every document twice, whole and cut off, with the labels ``complete`` and
``truncated``."""
SEVERAL = ("labels", "modules")
"""The columns with any number of labels."""
Pooling = Literal["mean_max", "last"]
"""Which features of a text the head reads: their mean and maximum over all tokens, or those of the last token."""
EnsembleSize = Annotated[int, Field(ge=1, le=100)]
ClassWeights = Literal["balanced"] | dict[str, PositiveFloat]


class NgramClassifierConfig(Config):
    """A linear classifier on the n-grams of a text's tokens."""

    longest: Annotated[int, Field(ge=1, le=8)]
    """N-grams have 1 to this many tokens."""
    num_buckets: PositiveInt
    """How many weights each label has, a power of two; n-grams share weights by their hash."""
    max_tokens: PositiveInt
    """How many tokens of a document it reads; this may be more than the network can read."""
    inverse_regularization: PositiveFloat
    """Smaller values keep the weights smaller; named ``C`` in scikit-learn."""

    @field_validator("num_buckets")
    @classmethod
    def _is_power_of_two(cls, num_buckets: int) -> int:
        if num_buckets & (num_buckets - 1):
            raise ValueError(f"num_buckets is {num_buckets}, which is not a power of two, such as 65536")
        return num_buckets


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
    """The weight of an example in the loss, by its label (with several labels: the weight of a label's presence).
    ``balanced`` gives every label the same total weight; a label that is not named has weight 1."""
    dropout: Probability
    init_from: InitFrom
    """``scratch`` has random weights in the shape of the language model, which shows what pretraining is worth."""
    ensemble_size: EnsembleSize
    """How many models are trained side by side, each from random weights of its own; their logits are averaged. Every
    second one reads texts backwards."""
    vectors: Path | None
    """File of word vectors in GloVe's format. They stay frozen; a map of them to the embeddings is trained, and all
    of their words become tokens, even those that no training text has. None: no vectors."""
    ngram_classifier: NgramClassifierConfig | None
    """A linear classifier that is trained beside the network. Its logits are added to the network's, with the
    weight that makes the labels of the validation documents most likely. None: the network alone."""
    lora: Annotated[LoRAConfig | None, merged_only("the head of a classifier is not an adapter")]
    """Train adapters instead of the weights; None trains the weights."""
    frozen_layers: FrozenLayers
    """Leave the embeddings and this many of the first blocks frozen; None trains all weights."""
    training: Annotated[TrainingConfig, measured_by("accuracy", "macro_f1")]

    @property
    def is_multi_label(self) -> bool:
        """Whether a document may have any number of labels."""
        if self.problem_type is None:
            return self.label_column in SEVERAL
        return self.problem_type == "multi_label_classification"

    @field_validator("ensemble_size")
    @classmethod
    def _differ_from_the_start(cls, ensemble_size: int, info: ValidationInfo) -> int:
        init_from = info.data.get("init_from", SCRATCH)
        if ensemble_size > 1 and init_from != SCRATCH:
            raise ValueError(
                f"models that start from {init_from} hardly differ: set ensemble_size to 1, or init_from to {SCRATCH}"
            )
        return ensemble_size

    @model_validator(mode="after")
    def _has_one_label_in_a_column_of_one(self) -> Self:
        if self.problem_type == "single_label_classification" and self.label_column in SEVERAL:
            raise ValueError(
                f"label_column {self.label_column} holds any number of labels: set problem_type to "
                "multi_label_classification or null, or label_column to label"
            )
        return self
