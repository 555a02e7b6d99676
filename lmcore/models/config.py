"""What a model can be told: one class per family."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from lmcore.config import Config

PositiveInteger = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class GPTConfig(Config):
    """A decoder-only Transformer (Radford et al. 2018; the bricks' sources stand in ``layers.py``).

    ``width`` is the size of the residual stream, ``feed_forward_width`` that of the hidden layer between two
    attentions, ``context_length`` the longest sequence in tokens.
    """

    family: Literal["gpt"]
    width: PositiveInteger
    n_layers: PositiveInteger
    n_heads: PositiveInteger
    feed_forward_width: PositiveInteger
    activation: Literal["relu_squared", "swiglu"]
    context_length: Annotated[int, Field(ge=2)]
    dropout: Probability
    tie_embeddings: bool
    use_residual_mixing: bool
    use_value_embeddings: bool
    use_token_shift: bool
    logit_soft_cap: Annotated[float, Field(gt=0.0)] | None
    rotary_base: Annotated[float, Field(gt=1.0)]

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_width(cls, n_heads: int, info: ValidationInfo) -> int:
        width = info.data.get("width")
        if width is None:
            return n_heads  # the width has an error of its own
        if width % n_heads or (width // n_heads) % 2:
            fitting = [heads for heads in range(1, width // 2 + 1) if width % (2 * heads) == 0]
            right = ", ".join(map(str, fitting)) or "none: choose an even width"
            raise ValueError(f"must divide width {width} into heads of even size; right would be one of {right}")
        return n_heads
