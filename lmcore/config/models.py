"""Settings of the model families, and of the pretraining objectives of two of them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from lmcore.config.base import Config


class MaskingConfig(Config):
    """What a masked language model predicts: ``mlm_probability`` of all tokens, of which 80 % are masked, 10 %
    replaced by a random token and 10 % left as they are (Devlin et al. 2019)."""

    mlm_probability: Annotated[float, Field(gt=0.0, lt=1.0)]
    use_whole_words: bool


class CorruptionConfig(Config):
    """What an encoder-decoder restores in pretraining: spans of ``mean_noise_span_length`` tokens on average that cover
    ``noise_density`` of the text, each replaced by one mask token (Raffel et al. 2020; Lewis et al. 2020)."""

    noise_density: Annotated[float, Field(gt=0.0, lt=1.0)]
    mean_noise_span_length: Annotated[float, Field(ge=1.0)]


PositiveInteger = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=2**20)]
"""Size of vectors; the limit is far above what fits into memory as a matrix."""
Count = Annotated[int, Field(ge=1, le=10_000)]
Length = Annotated[int, Field(ge=2, le=2**20)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class FamilyConfig(Config):
    """What the configuration of every family says about its models."""

    family_name: ClassVar[str]
    """The family's name in reports."""
    size_unit: ClassVar[str] = "parameters"
    """What the size of a model is counted in."""
    takes_adapters: ClassVar[bool] = False
    """Whether the models have linear layers that low-rank adapters can be added to."""
    supports_gradient_checkpointing: ClassVar[bool] = False
    """Whether the models consist of blocks that can recompute their activations in the backward pass."""
    supports_document_mask: ClassVar[bool] = False
    """Whether the models can keep the documents of a sequence apart."""
    reads_source: ClassVar[bool] = False
    """Whether a prompt is a source with a context of its own, so that prompt and answer need not fit one context."""

    @property
    def display_name(self) -> str:
        """The name of a model with this configuration in reports."""
        return self.family_name


class NgramConfig(FamilyConfig):
    """An n-gram model with interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998); ``order`` is n."""

    family_name = "n-gram"
    size_unit = "n-grams"

    family: Literal["ngram"]
    order: PositiveInteger

    @property
    def display_name(self) -> str:
        """The name of the model, such as ``3-gram``."""
        return f"{self.order}-gram"


class HMMConfig(FamilyConfig):
    """A hidden Markov model whose states emit tokens (Rabiner 1989; Chiu & Rush 2020 for many states)."""

    family_name = "HMM"

    family: Literal["hmm"]
    num_states: Size
    emission_rank: Size | None
    """Rank of the factorized emission probabilities; None: every state has its own table of all tokens."""


class LSTMConfig(FamilyConfig):
    """A long short-term memory (Hochreiter & Schmidhuber 1997) with the dropouts of AWD-LSTM (Merity et al. 2017).

    ``embedding_size`` is also the output size of the last layer, ``hidden_size`` that of the layers before it.
    """

    family_name = "LSTM"

    family: Literal["lstm"]
    embedding_size: Size
    hidden_size: Size
    num_hidden_layers: Count
    tie_word_embeddings: bool
    embedding_dropout: Probability
    """Drops whole tokens, for the length of a batch."""
    input_dropout: Probability
    """Drops features of the embeddings, the same at every position (Gal & Ghahramani 2016), as do the next two."""
    hidden_dropout: Probability
    output_dropout: Probability
    weight_dropout: Probability
    """Drops weights of the recurrent connections (Wan et al. 2013)."""
    activation_regularization: Annotated[float, Field(ge=0.0)]
    temporal_regularization: Annotated[float, Field(ge=0.0)]


class GPTConfig(FamilyConfig):
    """A decoder-only Transformer (Radford et al. 2018) with modern building blocks, each cited where it is defined.

    ``hidden_size`` is the size of the residual stream, ``intermediate_size`` that of the feed-forward layers,
    ``max_position_embeddings`` the longest sequence in tokens.
    """

    family_name = "GPT"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True

    family: Literal["gpt"]
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count
    """Fewer than ``num_attention_heads``: groups of query heads share keys and values (Ainslie et al. 2023)."""
    intermediate_size: Size
    hidden_act: Literal["relu2", "swiglu"]
    max_position_embeddings: Length
    dropout: Probability
    """Dropout of embeddings, of the output of each block and of the final output; attention has no dropout."""
    tie_word_embeddings: bool
    use_residual_mixing: bool
    use_value_embeddings: bool
    use_token_shift: bool
    final_logit_softcapping: Annotated[float, Field(gt=0.0)] | None
    rope_theta: Annotated[float, Field(gt=1.0)]

    @field_validator("num_attention_heads")
    @classmethod
    def _heads_divide_hidden_size(cls, num_attention_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(num_attention_heads, info, multiple=2)

    @field_validator("num_key_value_heads")
    @classmethod
    def _groups_divide_heads(cls, num_key_value_heads: int, info: ValidationInfo) -> int:
        num_attention_heads = info.data.get("num_attention_heads")
        if num_attention_heads is not None and num_attention_heads % num_key_value_heads:
            fitting = ", ".join(
                str(count) for count in range(1, num_attention_heads + 1) if num_attention_heads % count == 0
            )
            raise ValueError(
                f"must divide num_attention_heads ({num_attention_heads}) into groups; expected one of {fitting}"
            )
        return num_key_value_heads


class GPT2Config(FamilyConfig):
    """The exact architecture of GPT-2 (Radford et al. 2019), so that the published weights fit."""

    family_name = "GPT-2"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True

    family: Literal["gpt2"]
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Count
    max_position_embeddings: Length
    dropout: Probability

    @field_validator("num_attention_heads")
    @classmethod
    def _heads_divide_hidden_size(cls, num_attention_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(num_attention_heads, info)


class BERTConfig(FamilyConfig):
    """The exact architecture of BERT (Devlin et al. 2019), which predicts masked tokens."""

    family_name = "BERT"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True

    family: Literal["bert"]
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Size
    max_position_embeddings: Length
    dropout: Probability
    masking: MaskingConfig

    @field_validator("num_attention_heads")
    @classmethod
    def _heads_divide_hidden_size(cls, num_attention_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(num_attention_heads, info)


class EncoderDecoderConfig(FamilyConfig):
    """An encoder-decoder Transformer (Vaswani et al. 2017) with pre-normalization (Xiong et al. 2020) and one table for
    all embeddings (Press & Wolf 2017)."""

    family_name = "encoder-decoder"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True
    reads_source = True

    family: Literal["encoder_decoder"]
    hidden_size: Size
    encoder_layers: Count
    decoder_layers: Count
    num_attention_heads: Count
    intermediate_size: Size
    max_position_embeddings: Length
    """The longest source and the longest target, in tokens."""
    dropout: Probability
    corruption: CorruptionConfig

    @field_validator("num_attention_heads")
    @classmethod
    def _heads_divide_hidden_size(cls, num_attention_heads: int, info: ValidationInfo) -> int:
        return _dividing_heads(num_attention_heads, info)


ModelConfig = Annotated[
    NgramConfig | HMMConfig | LSTMConfig | GPTConfig | GPT2Config | BERTConfig | EncoderDecoderConfig,
    Field(discriminator="family"),
]


def max_position_embeddings_of(config: Config) -> int | None:
    """The longest sequence that models of this configuration read, in tokens; None if there is no limit."""
    return getattr(config, "max_position_embeddings", None)


def _dividing_heads(num_attention_heads: int, info: ValidationInfo, multiple: int = 1) -> int:
    """Refuse a number of heads that does not divide ``hidden_size`` into multiples of ``multiple``."""
    hidden_size = info.data.get("hidden_size")
    if hidden_size is None:
        return num_attention_heads  # hidden_size has an error of its own
    if hidden_size % (multiple * num_attention_heads):
        fitting = [heads for heads in range(1, hidden_size // multiple + 1) if hidden_size % (multiple * heads) == 0]
        right = ", ".join(map(str, fitting)) or "none: choose an even hidden_size"
        size = "heads of even size" if multiple == 2 else "heads"
        raise ValueError(f"must divide hidden_size {hidden_size} into {size}; expected one of {right}")
    return num_attention_heads
