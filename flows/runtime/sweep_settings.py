"""Settings of a sweep: what is searched, by which metric, and when a trial is stopped early."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lmcore.config.base import Config, Name
from lmcore.errors import UserError
from tasks.context.trainer_section import value_at
from tasks.context.yaml_values import read_yaml


class MetricConfig(Config):
    """What trials are compared by."""

    file: Path
    """A table (``.csv``), of which the best row counts, or metrics (``.json``); an output of the stage."""
    name: Name
    """A column of the table, or a key of the metrics."""
    direction: Literal["minimize", "maximize"]

    def best(self, values: list[float]) -> float:
        """The best of several values."""
        return min(values) if self.direction == "minimize" else max(values)


class PruningConfig(Config):
    """When a trial is stopped early: if its training is worse than the median of earlier ones at the same step."""

    model: Name
    """The name of the training's run, such as ``language-model``."""
    metric: Name
    """A metric of the training."""
    warmup_steps: NonNegativeInt
    """No trial is stopped before this step."""
    startup_trials: NonNegativeInt
    """No trial is stopped before this many have ended."""


class RangeConfig(Config):
    """A range of numbers; of two whole numbers, all values are whole."""

    low: int | float
    high: int | float
    log: bool
    """Whether the scale is logarithmic: ratios count, not differences."""

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if not (math.isfinite(self.low) and self.low < self.high) or (self.log and self.low <= 0):
            raise UserError(f"{self.low} to {self.high} is not a range{' of positive numbers' if self.log else ''}")
        return self


class ChoicesConfig(Config):
    """Values to choose from."""

    choices: Annotated[tuple[str | int | float | bool | None, ...], Field(min_length=2)]


class SweepConfig(Config):
    """A search for the best parameters."""

    stage: Name
    """The stage that trials run, after those it depends on."""
    metric: MetricConfig
    trials: PositiveInt
    seed: NonNegativeInt
    random_trials: PositiveInt
    """Trials that are drawn at random before the search learns from them."""
    pruning: PruningConfig | None
    parameters: Annotated[dict[Name, RangeConfig | ChoicesConfig], Field(min_length=1)]
    """Ranges and choices by the path of a parameter."""

    def distributions(self) -> dict[str, BaseDistribution]:
        """The search space as Optuna has it."""
        return {path: _distribution(space) for path, space in self.parameters.items()}


def check_paths(config: SweepConfig, parameters: Path) -> None:
    """Check that the parameter file has every parameter of the search.

    Raises:
        UserError: if one is missing.
    """
    values, missing = read_yaml(parameters), object()
    unknown = [path for path in config.parameters if value_at(values, path.split("."), missing) is missing]
    if unknown:
        raise UserError(f"{parameters} has no {' and no '.join(unknown)}: correct the path, or write the key there")


def override(path: str, value: Any) -> str:
    """A parameter with its value, as ``dvc exp run -S`` reads it."""
    return f"{path}={value if isinstance(value, str) else json.dumps(value)}"


def _distribution(space: RangeConfig | ChoicesConfig) -> BaseDistribution:
    if isinstance(space, ChoicesConfig):
        return CategoricalDistribution(space.choices)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return IntDistribution(space.low, space.high, log=space.log)
    return FloatDistribution(float(space.low), float(space.high), log=space.log)
