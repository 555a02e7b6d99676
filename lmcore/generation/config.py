"""How text is generated."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from lmcore.config import Config


class GenerationConfig(Config):
    """How the next token is chosen, and when to stop.

    ``temperature`` 0 always takes the likeliest token; ``top_k`` and ``top_p`` keep the likeliest tokens only
    (null: all of them).
    """

    max_tokens: PositiveInt
    temperature: Annotated[float, Field(ge=0.0)]
    top_k: PositiveInt | None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None
    seed: NonNegativeInt
