"""Settings of the section ``finetune``: the classifier and the completion model."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lmcore.config.base import Config
from lmcore.config.models import Probability
from lmcore.config.training import LoRAConfig, TrainingConfig


class SummaryExamples(Config):
    """Documents that hold both: their first paragraph is the completion, all that follows the prompt."""

    kind: Literal["summary"]
    min_summary_characters: PositiveInt
    max_summary_characters: PositiveInt
    min_body_characters: PositiveInt

    @model_validator(mode="after")
    def _has_ordered_lengths(self) -> Self:
        if self.max_summary_characters < self.min_summary_characters:
            raise ValueError("max_summary_characters must not be below min_summary_characters")
        return self


class TargetExamples(Config):
    """Documents whose source names a target: the text is the prompt, the target the completion."""

    kind: Literal["target"]


CompletionExamples = Annotated[SummaryExamples | TargetExamples, Field(discriminator="kind")]


class ClassificationTrainingConfig(Config):
    """Fine-tuning a classifier of documents by their label."""

    max_tokens: Annotated[int, Field(ge=2)]
    """A document's first tokens, which the classifier reads."""
    max_train_samples: PositiveInt
    min_examples_per_label: PositiveInt
    """Labels with fewer training documents are left out."""
    dropout: Probability
    init_from: Literal["language_model", "scratch"]
    """Nothing: weights drawn anew, which shows what the pretraining is worth."""
    vectors: Path | None
    """A file in GloVe's format, whose words start from its vectors, of the model's width; null for none."""
    lora: LoRAConfig | None
    """Trains adapters beside the language model's weights instead of the weights; null trains these."""
    training: TrainingConfig


class CompletionTrainingConfig(Config):
    """Fine-tuning a model that answers a prompt (a document's body) with a completion (its summary)."""

    examples: CompletionExamples
    separator: str
    """Text between prompt and completion."""
    max_prompt_tokens: Annotated[int, Field(ge=2)]
    max_completion_tokens: Annotated[int, Field(ge=2)]
    max_train_samples: PositiveInt
    lora: LoRAConfig | None
    """As for the classifier."""
    training: TrainingConfig


class FinetuneConfig(Config):
    """Stage finetune: models that start from the language model; a task set to null is not trained."""

    seed: NonNegativeInt
    classification: ClassificationTrainingConfig | None
    completion: CompletionTrainingConfig | None
