"""What documents are collected, how they are cleaned, and how they are divided."""

from pathlib import Path, PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator, model_validator

from lmcore.config import Config

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]
Split = Literal["train", "validation", "test"]
GivenSplit = Split | None
"""Where all documents of a source belong; null lets the hash of each decide, by ``tokenize.split``."""


class InstalledDocumentation(Config):
    """Docstrings of installed packages; each document is labeled with its package."""

    kind: Literal["installed_documentation"]
    name: Name
    packages: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names as on the package index; ``python`` is the standard library."""
    skipped: tuple[Name, ...]
    """Patterns of folder and file names that hold something else: tests, copies of other packages."""


class TextFolder(Config):
    """Text files below a folder, each labeled with the first folder below ``path`` it lies in, if any."""

    kind: Literal["text_folder"]
    name: Name
    path: Path
    pattern: Name
    """Which files, for example ``**/*.txt``."""
    split: GivenSplit

    @field_validator("pattern")
    @classmethod
    def _stays_in_folder(cls, pattern: str) -> str:
        if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts:
            raise ValueError("a pattern such as **/*.txt, which does not lead out of the folder")
        return pattern


class Lines(Config):
    """A text file, every line of it a document, in its order; ``.gz`` is read as it is."""

    kind: Literal["lines"]
    name: Name
    path: Path
    split: GivenSplit


class ParallelText(Config):
    """Two text files, line by line a text and what it is to become: its translation, say."""

    kind: Literal["parallel_text"]
    name: Name
    path: Path
    target_path: Path
    split: GivenSplit


class Records(Config):
    """Rows of a ``.jsonl``, ``.csv`` or ``.tsv`` file, each also as ``.gz``, with named fields; ``null`` where there is
    no such field."""

    kind: Literal["records"]
    name: Name
    path: Path
    text_field: Name
    label_field: Name | None
    target_field: Name | None
    """What the text is to become, for completion: a summary, an answer, a translation."""
    name_field: Name | None
    split: GivenSplit

    @model_validator(mode="after")
    def _has_known_format(self) -> Self:
        if self.format not in (".jsonl", ".csv", ".tsv"):
            raise ValueError(f"'{self.path}' is neither a .jsonl nor a .csv nor a .tsv file, plain or .gz")
        return self

    @property
    def format(self) -> str:
        """What the file's name ends with, not counting ``.gz``."""
        return Path(self.path.stem).suffix if self.path.suffix == ".gz" else self.path.suffix


Source = Annotated[InstalledDocumentation | TextFolder | Lines | ParallelText | Records, Field(discriminator="kind")]


class CollectConfig(Config):
    """Where documents come from, in the order in which they are read."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two sources are named {', '.join(repeated)}: a source is known by its name")
        return self


class FilterConfig(Config):
    """Thresholds: a document beyond one of them is dropped under the name of the rule."""

    min_characters: NonNegativeInt
    min_words: NonNegativeInt
    min_letter_share: Share
    """Letters among the characters that are not white space."""
    max_mean_word_length: NonNegativeFloat
    max_repeated_line_share: Share
    """Lines that already stood in the document, among its lines that are not blank."""
    min_distinct_word_share: Share
    """Different words among the words of any 100 that follow each other."""


class CleanConfig(Config):
    """Steps from a raw document to a clean one."""

    language: Name
    """A language that spaCy knows, as its code (``en``, ``de``, ``zh``)."""
    normalize: bool
    """Repair and unify texts; false leaves them as they are."""
    filters: FilterConfig | None
    """Null lets every text pass that is not empty."""
    remove_duplicates: bool
    max_bytes_per_label: PositiveInt | None
    """Beyond this a label's documents are dropped, chosen by hash, so that no label drowns the others."""


class SplitFractions(Config):
    """Shares of the documents held out; the rest is for training."""

    validation: Share
    test: Share

    @model_validator(mode="after")
    def _leaves_training_documents(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1, or no document is left for training")
        return self


class SummaryExamples(Config):
    """Documents that hold both: their first paragraph is the completion, all that follows the prompt."""

    kind: Literal["summary"]
    min_summary_characters: PositiveInt
    max_summary_characters: PositiveInt
    min_body_characters: PositiveInt

    @model_validator(mode="after")
    def _has_ordered_lengths(self) -> Self:
        if self.max_summary_characters < self.min_summary_characters:
            raise ValueError("max_summary_characters must not be below min_summary_characters")
        return self


class TargetExamples(Config):
    """Documents whose source names a target: the text is the prompt, the target the completion."""

    kind: Literal["target"]


CompletionExamples = Annotated[SummaryExamples | TargetExamples, Field(discriminator="kind")]
