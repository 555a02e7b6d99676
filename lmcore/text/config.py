"""What several folders agree on: how documents are divided, and what they give to learn from."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lmcore.config import Config

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]
Split = Literal["train", "validation", "test"]
GivenSplit = Split | None
"""Where all documents of a source belong; null lets the hash of each decide, by ``tokenize.split``."""


class SplitFractions(Config):
    """Shares of the documents held out; the rest is for training."""

    validation: Share
    test: Share

    @model_validator(mode="after")
    def _leaves_training_documents(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1, or no document is left for training")
        return self


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
