"""Settings of the model families."""

from typing import Annotated, Literal

from pydantic import Field

from lmcore.config.base import Config
from lmcore.config.families import (
    CorruptionConfig,
    Count,
    EvenHeads,
    FamilyConfig,
    Groups,
    Heads,
    Length,
    Probability,
    Size,
)
from lmcore.config.published_models import BERTConfig, GPT2Config, LlamaConfig, T5Config

PositiveInteger = Annotated[int, Field(ge=1)]


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
    num_attention_heads: EvenHeads
    num_key_value_heads: Groups
    intermediate_size: Size
    hidden_act: Literal["relu2", "swiglu"]
    max_position_embeddings: Length
    dropout: Probability
    """Dropout of embeddings, of the output of each block and of the final output; attention has no dropout."""
    tie_word_embeddings: bool
    use_residual_mixing: bool
    use_value_embeddings: bool
    use_token_shift: bool
    ngram_head_order: Annotated[int, Field(ge=0, le=8)]
    """Up to this many of the latest tokens are looked up earlier in the text; what followed is an input. 0: none."""
    final_logit_softcapping: Annotated[float, Field(gt=0.0)] | None
    rope_theta: Annotated[float, Field(gt=1.0)]


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
    num_attention_heads: Heads
    intermediate_size: Size
    max_position_embeddings: Length
    """The longest source and the longest target, in tokens."""
    dropout: Probability
    corruption: CorruptionConfig


ModelConfig = Annotated[
    NgramConfig
    | HMMConfig
    | LSTMConfig
    | GPTConfig
    | GPT2Config
    | LlamaConfig
    | BERTConfig
    | EncoderDecoderConfig
    | T5Config,
    Field(discriminator="family"),
]


def max_position_embeddings_of(config: Config) -> int | None:
    """The longest sequence that models of this configuration read, in tokens; None if there is no limit."""
    return getattr(config, "max_position_embeddings", None)
