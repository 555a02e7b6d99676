"""Settings of fine-tuning a model that answers prompts."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lmcore.config.base import Config
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
