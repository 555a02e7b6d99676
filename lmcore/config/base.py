"""What the sections of ``params.yaml`` share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """A section of ``params.yaml`` as an immutable value.

    Subclasses give no defaults: a value stands in ``params.yaml`` or it is an error that names its path.
    Unknown keys and values of another type are errors. Subclasses live in the ``config.py`` of the folder
    they configure, which imports nothing heavy, so that the whole file is checked in a fraction of a second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(min_length=1)]
Split = Literal["train", "validation", "test"]
GivenSplit = Split | None
"""Where all documents of a source belong; null lets the hash of each decide, by ``tokenize.split``."""


Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveRatio = Annotated[float, Field(gt=0.0, le=1.0)]
