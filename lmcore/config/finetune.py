"""Settings of fine-tuning: the classifier and the completion model."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lmcore.config.base import Config
from lmcore.config.families import Probability
from lmcore.config.training import LoRAConfig, TrainingConfig


class SummaryExamples(Config):
    """A document's first paragraph is the completion, and the rest is the prompt."""

    kind: Literal["summary"]
    min_summary_characters: PositiveInt
    max_summary_characters: PositiveInt
    min_body_characters: PositiveInt

    @model_validator(mode="after")
    def _has_ordered_lengths(self) -> Self:
        if self.max_summary_characters < self.min_summary_characters:
            raise ValueError("max_summary_characters must be at least min_summary_characters")
        return self


class TargetExamples(Config):
    """A document's text is the prompt, and its target is the completion."""

    kind: Literal["target"]


CompletionExamples = Annotated[SummaryExamples | TargetExamples, Field(discriminator="kind")]


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


class CompletionTrainingConfig(Config):
    """Training of a model that answers a prompt with a completion."""

    examples: CompletionExamples
    separator: str
    """Text between the prompt and the completion."""
    max_prompt_tokens: Annotated[int, Field(ge=2)]
    max_completion_tokens: Annotated[int, Field(ge=2)]
    max_train_samples: PositiveInt
    lora: LoRAConfig | None
    """Train adapters instead of the weights; None trains the weights."""
    training: TrainingConfig


class FinetuneConfig(Config):
    """Models that start from the language model; a task that is None is not trained."""

    seed: NonNegativeInt
    classification: ClassificationTrainingConfig | None
    completion: CompletionTrainingConfig | None
