"""Settings of fine-tuning a classifier."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from lmcore.config.base import Config
from lmcore.config.families import Probability
from lmcore.config.training import LoRAConfig, TrainingConfig


class ClassificationTrainingConfig(Config):
    """Training of a classifier that predicts the label of a document."""

    max_tokens: Annotated[int, Field(ge=2)]
    """The classifier reads the first tokens of a document, at most this many."""
    max_train_samples: PositiveInt
    min_examples_per_label: PositiveInt
    """Labels with fewer training documents are not learned."""
    dropout: Probability
    init_from: Literal["language_model", "scratch"]
    """``scratch`` starts from random weights, which shows what pretraining is worth."""
    vectors: Path | None
    """File of word vectors in GloVe's format, of the model's embedding size, from which the embeddings of its words
    start; None: no vectors."""
    lora: LoRAConfig | None
    """Train adapters instead of the weights; None trains the weights."""
    training: TrainingConfig
