"""Settings of the section ``tokenize``: the tokenizer and the splits."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from lmcore.config.base import Config, Ratio
from lmcore.config.languages import check_language


class SplitFractions(Config):
    """Shares of the documents held out; the rest is for training."""

    validation: Ratio
    test: Ratio

    @model_validator(mode="after")
    def _leaves_training_documents(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1, or no document is left for training")
        return self


class BytePairConfig(Config):
    """Byte-level byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909), trained."""

    kind: Literal["byte_pair"]
    vocabulary_size: Annotated[int, Field(ge=259, le=2**31)]
    """At least the 256 bytes and 3 special tokens; fewer are used where the text has too few pairs."""


class WordsConfig(Config):
    """Words as they stand; all that are not in the vocabulary are one unknown word, ``<unk>``."""

    kind: Literal["words"]
    language: Annotated[str, AfterValidator(check_language)] | None
    """By whose rules spaCy divides texts into words (``en``, ``zh``); null takes what white space separates."""
    max_words: PositiveInt | None
    """The most frequent ones; null for all."""
    min_count: PositiveInt
    """In how many places of the training documents a word stands at least."""
    lowercase: bool


class CharactersConfig(Config):
    """The characters of the training documents; any other one is spelled out by its bytes of UTF-8."""

    kind: Literal["characters"]
    min_count: PositiveInt


class ExistingConfig(Config):
    """A ``tokenizer.json`` in the format of Hugging Face ``tokenizers``, made elsewhere."""

    kind: Literal["existing"]
    path: Annotated[str, Field(min_length=1)]
    """Of the file, whose content ``sources.lock`` pins."""


TokenizerConfig = Annotated[
    BytePairConfig | WordsConfig | CharactersConfig | ExistingConfig, Field(discriminator="kind")
]


class TokenizeConfig(Config):
    """The tokenizer, and how documents are divided into training, validation and test documents."""

    tokenizer: TokenizerConfig
    target_separator: str | None
    """What stands between a document's text and its target, where it has one, in the language model's text; null leaves
    targets out of that."""
    split: SplitFractions
