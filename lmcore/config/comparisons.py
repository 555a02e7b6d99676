"""Settings of comparisons: families of models on one time budget, sizes of one family."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from lmcore.config.base import Config, Name, Ratio

CalibrationSteps = Annotated[int, Field(ge=12)]
"""Steps for measuring the cost of a training before it starts."""


class LadderConfig(Config):
    """Families of models that are trained on the same data for the same time."""

    presets: Annotated[tuple[Name, ...], Field(min_length=1)]
    """What is trained: presets of pretraining."""
    seconds: PositiveFloat
    """The duration of each training, including validations and checkpoints; counting has no time limit."""
    validations: PositiveInt
    """Validations of each training, the points of its curve; fewer if they would take over a quarter of the time."""
    calibration_steps: CalibrationSteps


class ScalingConfig(Config):
    """Sizes of one family, to which a scaling law is fitted."""

    preset: Name
    """The preset of pretraining whose architecture is scaled."""
    sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=12)], ...], Field(min_length=2)]
    """The sizes that the law is fitted to."""
    held_out_size: Annotated[int, Field(ge=1, le=12)]
    """A larger size, whose losses are predicted before it is trained."""
    tokens: PositiveInt
    """Tokens that each size is trained on."""
    validations: Annotated[int, Field(ge=4)]
    """Validations of each training: the points that the law is fitted to."""
    skipped_ratio: Ratio
    """The fraction at the start of a training whose validations are not fitted."""
    calibration_steps: CalibrationSteps
    resamples: PositiveInt
    """Bootstrap resamples for the intervals."""
    questions: PositiveInt
    """Multiple-choice questions that each size answers."""
    options: Annotated[int, Field(ge=2)]
    """Answers to choose from."""
    examples: tuple[NonNegativeInt, ...]
    """Numbers of solved examples before a question."""

    @model_validator(mode="after")
    def _held_out_is_larger(self) -> Self:
        if self.held_out_size <= max(self.sizes):
            raise ValueError(f"held_out_size is {self.held_out_size}: expected a size above those in sizes")
        return self
