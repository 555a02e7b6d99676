"""What the settings of all model families have in common."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo

from lmcore.config.base import Config

Size = Annotated[int, Field(ge=1, le=2**20)]
"""Size of vectors; the limit is far above what fits into memory as a matrix."""
Count = Annotated[int, Field(ge=1, le=10_000)]
Length = Annotated[int, Field(ge=2, le=2**20)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


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


class FamilyConfig(Config):
    """What the configuration of every family says about its models."""

    family_name: ClassVar[str]
    """The family's name in reports."""
    size_unit: ClassVar[str] = "parameters"
    """The unit in which the size of a model is given."""
    takes_adapters: ClassVar[bool] = False
    """Whether the models have linear layers that low-rank adapters can be added to."""
    supports_gradient_checkpointing: ClassVar[bool] = False
    """Whether the models consist of blocks that can recompute their activations in the backward pass."""
    supports_document_mask: ClassVar[bool] = False
    """Whether the models can keep the documents of a sequence apart."""
    reads_source: ClassVar[bool] = False
    """Whether a prompt is a source with a context of its own, so that prompt and answer need not share one context."""

    @property
    def display_name(self) -> str:
        """The name of a model with this configuration in reports."""
        return self.family_name


def _dividing_heads(num_attention_heads: int, info: ValidationInfo, *, multiple: int = 1) -> int:
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


def _dividing_groups(num_key_value_heads: int, info: ValidationInfo) -> int:
    """Refuse a number of key-value heads that does not divide ``num_attention_heads`` into groups."""
    num_attention_heads = info.data.get("num_attention_heads")
    if num_attention_heads is not None and num_attention_heads % num_key_value_heads:
        fitting = ", ".join(
            str(count) for count in range(1, num_attention_heads + 1) if num_attention_heads % count == 0
        )
        raise ValueError(
            f"must divide num_attention_heads ({num_attention_heads}) into groups; expected one of {fitting}"
        )
    return num_key_value_heads


def _dividing_evenly(num_attention_heads: int, info: ValidationInfo) -> int:
    return _dividing_heads(num_attention_heads, info, multiple=2)


Heads = Annotated[Count, AfterValidator(_dividing_heads)]
"""A number of heads that divides ``hidden_size``."""
EvenHeads = Annotated[Count, AfterValidator(_dividing_evenly)]
"""A number of heads that divides ``hidden_size`` into heads of even size, as rotary positions need."""
Groups = Annotated[Count, AfterValidator(_dividing_groups)]
"""A number of key-value heads that divides ``num_attention_heads``. Fewer than these: groups of query heads share keys
and values (Ainslie et al. 2023)."""
