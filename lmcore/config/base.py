"""The base class of all settings, and the types that several sections use."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Immutable, strictly typed settings without default values.

    A missing value, an unknown name or a value of another type is an error. The modules of this package import nothing
    heavy, so that settings are checked in a fraction of a second, before any work begins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(min_length=1)]
Split = Literal["train", "validation", "test"]
TruncationSide = Literal["left", "right"]
"""On which side a text that is too long loses tokens, as in ``transformers``."""
GivenSplit = Split | None
"""The split of all documents of a source; None assigns each document to a split by its hash."""
SCRATCH: Final = "scratch"
LANGUAGE_MODEL: Final = "language_model"
InitFrom = Annotated[str, Field(min_length=1)]
"""What a training starts from: random weights (``scratch``), the pretrained model (``language_model``), an earlier
fine-tuning by its name, the path of a model folder of this library or of Hugging Face ``transformers``, or the address
of a registered model, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``."""
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveRatio = Annotated[float, Field(gt=0.0, le=1.0)]
