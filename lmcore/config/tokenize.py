"""Settings of tokenizing: the tokenizer and the splits."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from lmcore.config.base import Config, Ratio
from lmcore.config.languages import check_language


class SplitFractions(Config):
    """Fractions of the documents that are held out; the rest are training documents."""

    validation: Ratio
    test: Ratio

    @model_validator(mode="after")
    def _leaves_training_documents(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1; no document would be left for training")
        return self


class BytePairConfig(Config):
    """Byte-level byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909)."""

    kind: Literal["byte_pair"]
    vocabulary_size: Annotated[int, Field(ge=259, le=2**31)]
    """At least 256 bytes and 3 special tokens. A small text may have too few pairs to fill the vocabulary."""


class WordsConfig(Config):
    """Whole words; all words outside the vocabulary are the token ``<unk>``."""

    kind: Literal["words"]
    language: Annotated[str, AfterValidator(check_language)] | None
    """Language whose rules spaCy divides texts into words by (``en``, ``zh``); None: divided at white space."""
    max_words: PositiveInt | None
    """Keep the most frequent words; None keeps all."""
    min_count: PositiveInt
    """Keep words with at least this many occurrences in the training documents."""
    lowercase: bool


class CharactersConfig(Config):
    """Characters of the training documents; any other character is encoded as its UTF-8 bytes."""

    kind: Literal["characters"]
    min_count: PositiveInt


class ExistingConfig(Config):
    """An existing ``tokenizer.json`` of Hugging Face ``tokenizers``."""

    kind: Literal["existing"]
    path: Annotated[str, Field(min_length=1)]
    """Path of the file."""


TokenizerConfig = Annotated[
    BytePairConfig | WordsConfig | CharactersConfig | ExistingConfig, Field(discriminator="kind")
]


class TokenizeConfig(Config):
    """The tokenizer, and the division of documents into splits."""

    tokenizer: TokenizerConfig
    target_separator: str | None
    """Text between a document and its target, if it has one, in the training text of the language model; None leaves
    targets out."""
    split: SplitFractions
