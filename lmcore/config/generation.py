"""Settings of text generation."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from lmcore.config.base import Config, PositiveRatio


class SamplingConfig(Config):
    """One token after the other, drawn from the model's distribution, most of whose tail is cut off.

    The cuts follow each other as they stand here, each on what the one before left; null cuts nothing.
    """

    method: Literal["sampling"]
    temperature: Annotated[float, Field(ge=0.0)]
    """Divides the logits; 0 always picks the most probable token, whatever the cuts."""
    top_k: PositiveInt | None
    """Keeps so many of the likeliest tokens (Fan et al. 2018)."""
    top_p: PositiveRatio | None
    """Keeps the likeliest tokens that together reach this probability (Holtzman et al. 2020)."""
    min_p: PositiveRatio | None
    """Keeps the tokens that are at least this share as probable as the likeliest (Nguyen et al. 2024)."""
    seed: NonNegativeInt


class BeamSearchConfig(Config):
    """The likeliest whole answers that are found by following ``num_beams`` of them at once."""

    method: Literal["beam_search"]
    num_beams: Annotated[int, Field(ge=1, le=10_000)]
    length_penalty: Annotated[float, Field(ge=-10.0, le=10.0)]
    """The exponent alpha of Wu et al. 2016: 0 prefers short answers, as probability itself does; 1 longer ones."""


class GenerationConfig(Config):
    """How the next token is chosen, and when to stop: at the end token, or at what comes first of these."""

    max_new_tokens: PositiveInt
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...]
    """Strings: the text ends before the first of them."""
    stop_token_ids: tuple[NonNegativeInt, ...]
    """Tokens that end the text as the end token does."""
    repetition_penalty: Annotated[float, Field(gt=0.0)]
    """Takes from the logits of tokens that are in the prompt or the answer (Keskar et al. 2019); 1 takes nothing."""
    decoding: Annotated[SamplingConfig | BeamSearchConfig, Field(discriminator="method")]
