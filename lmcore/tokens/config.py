"""How text becomes tokens."""

from typing import Annotated, Literal

from pydantic import Field

from lmcore.config import Config
from lmcore.text.config import SplitFractions


class BytePairConfig(Config):
    """Byte-level byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909), trained."""

    kind: Literal["byte_pair"]
    vocabulary_size: Annotated[int, Field(ge=259, le=2**31)]
    """At least the 256 bytes and 3 special tokens; fewer are used where the text has too few pairs."""


class TokenizeConfig(Config):
    """The tokenizer, and how documents are divided into training, validation and test documents."""

    tokenizer: BytePairConfig
    split: SplitFractions
