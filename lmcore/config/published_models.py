"""Settings of families whose architecture is exactly a published one, so that its weights can be loaded.

They are named as in ``transformers``.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lmcore.config.base import Config
from lmcore.config.families import (
    CorruptionConfig,
    Count,
    FamilyConfig,
    Groups,
    Heads,
    Length,
    MaskingConfig,
    Probability,
    Size,
)

PositiveNumber = Annotated[float, Field(gt=0.0)]
Epsilon = Annotated[float, Field(gt=0.0, lt=1.0)]
EvenSize = Annotated[Size, Field(multiple_of=2)]


class GPT2Config(FamilyConfig):
    """The exact architecture of GPT-2 (Radford et al. 2019), so that the published weights fit."""

    family_name = "GPT-2"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True

    family: Literal["gpt2"]
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Heads
    max_position_embeddings: Length
    dropout: Probability


class BERTConfig(FamilyConfig):
    """The exact architecture of BERT (Devlin et al. 2019), which predicts masked tokens."""

    family_name = "BERT"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True

    family: Literal["bert"]
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Heads
    intermediate_size: Size
    max_position_embeddings: Length
    dropout: Probability
    masking: MaskingConfig


class LinearRopeScaling(Config):
    """Positions are divided by ``factor`` (Chen et al. 2023, https://arxiv.org/abs/2306.15595)."""

    rope_type: Literal["linear"]
    factor: PositiveNumber


class Llama3RopeScaling(Config):
    """Low frequencies are divided by ``factor``, high ones stay, those between are interpolated (Dubey et al. 2024)."""

    rope_type: Literal["llama3"]
    factor: PositiveNumber
    low_freq_factor: PositiveNumber
    high_freq_factor: PositiveNumber
    original_max_position_embeddings: Length

    @model_validator(mode="after")
    def _bands_are_ordered(self) -> Self:
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"low_freq_factor {self.low_freq_factor:g} must be less than high_freq_factor {self.high_freq_factor:g}"
            )
        return self


class LlamaConfig(FamilyConfig):
    """The architecture of Llama (Touvron et al. 2023), with the variations of Mistral, Qwen2 and Qwen3."""

    family_name = "Llama"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True

    family: Literal["llama"]
    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Groups
    head_dim: EvenSize
    intermediate_size: Size
    max_position_embeddings: Length
    rms_norm_eps: Epsilon
    rope_theta: Annotated[float, Field(gt=1.0)]
    rope_scaling: Annotated[LinearRopeScaling | Llama3RopeScaling, Field(discriminator="rope_type")] | None
    attention_bias: bool
    """Queries, keys and values have biases (Qwen2)."""
    attention_output_bias: bool
    """The output of attention has a bias; in ``transformers``, Llama has all four biases or none."""
    use_qk_norm: bool
    """Each head of queries and keys is normalized (Qwen3)."""
    attention_dropout: Probability
    """Dropout of the attention weights, the only dropout of this architecture."""
    tie_word_embeddings: bool


class T5Config(FamilyConfig):
    """The architecture of T5 (Raffel et al. 2020), and of version 1.1 of its weights."""

    family_name = "T5"
    takes_adapters = True
    supports_gradient_checkpointing = True
    supports_document_mask = True
    reads_source = True

    family: Literal["t5"]
    hidden_size: Size
    encoder_layers: Count
    decoder_layers: Count
    num_attention_heads: Count
    head_dim: Size
    intermediate_size: Size
    feed_forward_proj: Literal["relu", "gated-gelu"]
    """``gated-gelu`` in version 1.1 (Shazeer 2020)."""
    relative_attention_num_buckets: Annotated[int, Field(ge=4, le=2**16, multiple_of=4)]
    relative_attention_max_distance: Length
    layer_norm_epsilon: Epsilon
    dropout: Probability
    tie_word_embeddings: bool
    scale_decoder_outputs: bool
    """Multiply the decoder's output by ``hidden_size ** -0.5`` before the output layer; not in version 1.1."""
    max_position_embeddings: Length
    """The longest source and the longest target, in tokens; the weights themselves have no such limit."""
    corruption: CorruptionConfig

    @model_validator(mode="after")
    def _distances_reach_beyond_the_exact_buckets(self) -> Self:
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets // 2:
            raise ValueError(
                f"relative_attention_max_distance {self.relative_attention_max_distance} must be more than half of "
                f"relative_attention_num_buckets {self.relative_attention_num_buckets}"
            )
        return self
