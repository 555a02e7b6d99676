"""Settings of reinforcement learning with verifiable rewards: group relative policy optimization."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from lmcore.config.base import Config, InitFrom
from lmcore.config.training import FrozenLayers, LoRAConfig, TrainingConfig, measured_by


class ExactMatchReward(Config):
    """1 if the answer is the expected one, apart from upper case and white space around it; else 0."""

    kind: Literal["exact_match"]
    weight: PositiveFloat


class ArithmeticReward(Config):
    """1 if the last quantity in the answer equals that of the expected answer, in any unit; else 0."""

    kind: Literal["arithmetic"]
    weight: PositiveFloat


class FormatReward(Config):
    """1 if the whole answer matches a regular expression; else 0."""

    kind: Literal["format"]
    weight: PositiveFloat
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _is_a_regular_expression(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return pattern


RewardConfig = Annotated[ExactMatchReward | ArithmeticReward | FormatReward, Field(discriminator="kind")]


class GRPOTrainingConfig(Config):
    """Training on answers that the model samples itself (Shao et al. 2024, https://arxiv.org/abs/2402.03300).

    ``training.batch_size`` is the number of prompts of a step.
    """

    init_from: InitFrom
    """The model that is trained and, as it is at the start, the reference."""
    rewards: Annotated[tuple[RewardConfig, ...], Field(min_length=1)]
    """An answer's reward is their weighted mean."""
    num_generations: Annotated[int, Field(ge=2)]
    """Answers to each prompt, which are compared with each other."""
    num_iterations: PositiveInt
    """Updates of the weights per set of answers."""
    temperature: PositiveFloat
    max_prompt_tokens: PositiveInt
    """Conversations with longer prompts are not used."""
    max_new_tokens: PositiveInt
    beta: NonNegativeFloat
    """Weight of the Kullback-Leibler divergence from the reference; 0: there is no reference."""
    epsilon: Annotated[float, Field(gt=0.0, lt=1.0)]
    """An answer's probability moves at most by this ratio per set of answers (Schulman et al. 2017)."""
    max_train_samples: PositiveInt
    lora: LoRAConfig | None
    """Train adapters instead of the weights; None trains the weights."""
    frozen_layers: FrozenLayers
    """Leave the embeddings and this many of the first blocks frozen; None trains all weights."""
    training: Annotated[TrainingConfig, measured_by()]

    @model_validator(mode="after")
    def _samples_once_per_step(self) -> Self:
        if (n_batches := self.training.gradient_accumulation_steps) != 1:
            raise ValueError(f"training.gradient_accumulation_steps = {n_batches}: a step has one batch; set it to 1")
        return self
