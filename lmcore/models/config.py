"""What a model can be told: one class per family."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from lmcore.config import Config
from lmcore.tokens.config import CorruptionConfig, MaskingConfig

PositiveInteger = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=2**20)]
"""Of vectors; far more than any machine can hold a matrix of."""
Count = Annotated[int, Field(ge=1, le=10_000)]
Length = Annotated[int, Field(ge=2, le=2**20)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class NgramConfig(Config):
    """Interpolated modified Kneser-Ney (Chen & Goodman 1998): counted, not trained."""

    family: Literal["ngram"]
    order: PositiveInteger


class HMMConfig(Config):
    """A hidden Markov model whose states emit tokens (Rabiner 1989; Chiu & Rush 2020 for many states)."""

    family: Literal["hmm"]
    n_states: Size
    emission_rank: Size | None
    """States and tokens meet in vectors of this size; null gives every state a table of its own."""


class LSTMConfig(Config):
    """A long short-term memory (Hochreiter & Schmidhuber 1997) with the dropouts of AWD-LSTM (Merity et al. 2017).

    ``width`` is the size of an embedding and of the last layer's output, ``hidden_width`` that of the layers before.
    """

    family: Literal["lstm"]
    width: Size
    hidden_width: Size
    n_layers: Count
    tie_embeddings: bool
    embedding_dropout: Probability
    """Of whole words, for the length of a batch."""
    input_dropout: Probability
    """Of an embedding's features, the same ones at every position (Gal & Ghahramani 2016), as the next two."""
    hidden_dropout: Probability
    output_dropout: Probability
    weight_dropout: Probability
    """Of the weights from one position to the next (Wan et al. 2013)."""
    activation_regularization: Annotated[float, Field(ge=0.0)]
    temporal_regularization: Annotated[float, Field(ge=0.0)]


class GPTConfig(Config):
    """A decoder-only Transformer (Radford et al. 2018; the bricks' sources stand in ``layers.py``).

    ``width`` is the size of the residual stream, ``feed_forward_width`` that of the hidden layer between two
    attentions, ``context_length`` the longest sequence in tokens.
    """

    family: Literal["gpt"]
    width: Size
    n_layers: Count
    n_heads: Count
    n_key_value_heads: Count
    """Fewer than ``n_heads``: groups of query heads share keys and values (Ainslie et al. 2023)."""
    feed_forward_width: Size
    activation: Literal["relu_squared", "swiglu"]
    context_length: Length
    dropout: Probability
    """Of embeddings, of what each block adds, and of the output; not of attention, whose kernels know none."""
    tie_embeddings: bool
    use_residual_mixing: bool
    use_value_embeddings: bool
    use_token_shift: bool
    logit_soft_cap: Annotated[float, Field(gt=0.0)] | None
    rotary_base: Annotated[float, Field(gt=1.0)]

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_width(cls, n_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(n_heads, info, multiple=2)

    @field_validator("n_key_value_heads")
    @classmethod
    def _groups_divide_heads(cls, n_key_value_heads: int, info: ValidationInfo) -> int:
        n_heads = info.data.get("n_heads")
        if n_heads is not None and n_heads % n_key_value_heads:
            fitting = ", ".join(str(count) for count in range(1, n_heads + 1) if n_heads % count == 0)
            raise ValueError(f"must divide the {n_heads} n_heads into groups; expected one of {fitting}")
        return n_key_value_heads


class GPT2Config(Config):
    """GPT-2 to the letter (Radford et al. 2019), so that its published weights fit."""

    family: Literal["gpt2"]
    width: Size
    n_layers: Count
    n_heads: Count
    context_length: Length
    dropout: Probability

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_width(cls, n_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(n_heads, info)


class BERTConfig(Config):
    """A bidirectional Transformer that guesses hidden tokens (Devlin et al. 2019), to the letter."""

    family: Literal["bert"]
    width: Size
    n_layers: Count
    n_heads: Count
    feed_forward_width: Size
    context_length: Length
    dropout: Probability
    masking: MaskingConfig

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_width(cls, n_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(n_heads, info)


class EncoderDecoderConfig(Config):
    """A Transformer that reads one sequence and writes another (Vaswani et al. 2017), normalizing first
    (Xiong et al. 2020), with one table for all embeddings (Press & Wolf 2017)."""

    family: Literal["encoder_decoder"]
    width: Size
    n_encoder_layers: Count
    n_decoder_layers: Count
    n_heads: Count
    feed_forward_width: Size
    context_length: Length
    """The longest source, and the longest target."""
    dropout: Probability
    corruption: CorruptionConfig

    @field_validator("n_heads")
    @classmethod
    def _heads_divide_width(cls, n_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(n_heads, info)


ModelConfig = Annotated[
    NgramConfig | HMMConfig | LSTMConfig | GPTConfig | GPT2Config | BERTConfig | EncoderDecoderConfig,
    Field(discriminator="family"),
]


def takes_adapters(family: str) -> bool:
    """Whether models of a family have linear maps that low-rank adapters can stand beside."""
    return family in ("gpt", "gpt2", "bert", "encoder_decoder")


def context_length_of(config: Config) -> int | None:
    """The longest sequence that models of this configuration take; None where there is no limit."""
    return getattr(config, "context_length", None)


def _dividing_heads(n_heads: int, info: ValidationInfo, multiple: int = 1) -> int:
    """Refuse heads that do not divide the width into heads whose size is a multiple of ``multiple``."""
    width = info.data.get("width")
    if width is None:
        return n_heads  # the width has an error of its own
    if width % (multiple * n_heads):
        fitting = [heads for heads in range(1, width // multiple + 1) if width % (multiple * heads) == 0]
        right = ", ".join(map(str, fitting)) or "none: choose an even width"
        size = "heads of even size" if multiple == 2 else "heads"
        raise ValueError(f"must divide width {width} into {size}; expected one of {right}")
    return n_heads
