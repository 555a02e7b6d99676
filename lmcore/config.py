"""The base of every configuration class: frozen, strict, and without defaults."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A section of ``params.yaml`` as an immutable value.

    Subclasses give no defaults: a value stands in ``params.yaml`` or it is an error that names its path.
    Unknown keys and values of another type are errors. Subclasses live in the ``config.py`` of the folder
    they configure, which imports nothing heavy, so that the whole file is checked in a fraction of a second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
