"""Settings of cleaning: filters, personal data, duplicates, contamination, annotations."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from lmcore.config.base import Config, Name, Ratio
from lmcore.config.languages import check_language

PersonalDataKind = Literal["secret", "email", "iban", "credit_card", "national_id", "ip_address", "phone", "person"]
Annotation = Literal["tags", "lemmas", "entities"]
Language = Annotated[Name, AfterValidator(check_language)]
"""A language code of spaCy, such as ``en``."""
HOW_TO_INSTALL = "install one (such as `pip install -c constraints.txt '.[english]'`) and set `pipeline` to its name"


class FilterConfig(Config):
    """Thresholds of the rules by which documents are dropped.

    A document is dropped by the first rule that it breaks. If it has a target, the rules see text and target as one.
    """

    min_lines_for_ratios: NonNegativeInt
    """Documents with fewer lines are exempt from the limits on ratios of lines and paragraphs, which say little about
    a few lines (all of them bullet points, for example)."""
    min_words_for_ratios: NonNegativeInt
    """Documents with fewer words are exempt from the limits on the mean word length."""
    min_words_for_repetition: NonNegativeInt
    """Documents with fewer words are exempt from the limits on symbols and repetition: short texts repeat words by
    chance, and verse does on purpose."""
    min_characters: NonNegativeInt
    """A Chinese character or a Korean syllable counts as three."""
    min_words: NonNegativeInt
    min_letter_ratio: Ratio
    """Letters and their combining marks, as a ratio of all characters other than white space."""
    min_mean_word_length: NonNegativeFloat
    max_mean_word_length: NonNegativeFloat
    min_alphabetic_word_ratio: Ratio
    """Words that contain a letter, as a ratio of all words."""
    max_symbols_per_word: NonNegativeFloat
    """Hash signs and ellipses per word; headings, hashtags and prompts do not count."""
    min_distinct_stop_words: NonNegativeInt
    """Different English stop words; documents in other languages are exempt."""
    max_bullet_line_ratio: Ratio
    """Lines with a bullet and a few words that are not a sentence."""
    max_ellipsis_line_ratio: Ratio
    min_sentence_line_ratio: Ratio
    """Lines that end like a sentence, as a ratio of the lines that are not blank."""
    max_repeated_line_ratio: Ratio
    """Characters in lines that repeat an earlier line, as a ratio of the characters of all lines."""
    max_repeated_paragraph_ratio: Ratio
    """Characters in paragraphs that repeat an earlier one, as a ratio of the characters of all paragraphs."""
    min_distinct_word_ratio: Ratio
    """Different words in any 100 consecutive words, as a ratio of these."""
    max_top_pair_ratio: Ratio
    """Words in occurrences of the most frequent pair of words, as a ratio of all words."""
    max_repeated_run_ratio: Ratio
    """Words in runs of ten words that repeat an earlier run, as a ratio of all words."""
    placeholders: tuple[Name, ...]
    """Phrases that mark placeholder text: a short document with one of them, or a longer document full of
    them, is dropped."""


class LanguageConfig(Config):
    """Identification of each document's language by its first 300 characters."""

    kept: tuple[Language, ...] = Field(min_length=1)
    """Languages whose documents are kept."""
    min_probability: Ratio
    """A document is dropped if another language is at least this probable."""
    min_characters: NonNegativeInt
    """Shorter texts are not identified."""


class BlocklistConfig(Config):
    """Phrases that indicate unsuitable content."""

    phrases: tuple[Name, ...]
    max_occurrences: NonNegativeInt
    """A document with more occurrences of the phrases is dropped."""
    words_per_occurrence: PositiveInt
    """A long document may have one more occurrence per this many words."""


class PersonalDataConfig(Config):
    """Personal data and secrets, found by patterns and check digits; kind ``person`` by a trained spaCy pipeline."""

    action: Literal["mask", "drop"]
    """``mask`` replaces the data by the name of its kind, ``drop`` drops the document."""
    kinds: tuple[PersonalDataKind, ...]
    phone_region: str | None = Field(pattern="^[A-Z]{2}$")
    """Country (ISO 3166) whose phone numbers are found without a country code, and whose identity numbers are found."""


class NearDuplicateConfig(Config):
    """Removal of documents that are almost equal to another document."""

    similarity: Ratio
    """One of two documents is dropped if the Jaccard similarity of their sets of shingles is at least this."""
    shingle_words: PositiveInt
    """Consecutive words per shingle."""


class ContaminationConfig(Config):
    """Removal of training documents that contain validation or test documents."""

    ngram_words: PositiveInt
    max_overlap: Ratio
    """A training document is dropped if a larger fraction of its n-grams (text and target) is in held-out documents."""
    common_documents: PositiveInt | None
    """N-grams in more training or held-out documents than this (in a small corpus: in more than a twentieth of them)
    come from instructions, licenses and the like, and do not count. None: all n-grams count."""


class CleanConfig(Config):
    """The steps from a raw document to a clean document; a step set to None is left out."""

    language: Language
    """Language of all texts whose language is not identified, as a code of spaCy (``en``, ``de``, ``zh``)."""
    normalize: bool
    """Repair encoding errors and unify characters and white space."""
    identify_language: LanguageConfig | None
    """None: all texts are in ``language``."""
    filters: FilterConfig | None
    """None: only empty texts are dropped."""
    blocklist: BlocklistConfig | None
    personal_data: PersonalDataConfig | None
    remove_duplicates: bool
    near_duplicates: NearDuplicateConfig | None
    contamination: ContaminationConfig | None
    max_bytes_per_label: PositiveInt | dict[Name, PositiveInt] | None
    """Training text per label; a label's further training documents, chosen by hash, are dropped so that no label
    dominates. One number for the labels of all sources, or one for each source that is named. Documents without a
    label, and those of sources with split ``validation`` or ``test``, are kept."""
    pipeline: Name | None
    """A trained spaCy pipeline for ``language``: name of its package or path of its folder."""
    annotations: tuple[Annotation, ...]
    """Annotations of each token by the pipeline, in addition to the boundaries of tokens and sentences."""

    @model_validator(mode="after")
    def _has_the_required_pipeline(self) -> Self:
        if self.pipeline is None:
            if self.annotations:
                raise ValueError(
                    f"annotations {list(self.annotations)} need a trained spaCy pipeline, but `pipeline` is null: "
                    f"{HOW_TO_INSTALL}, or set `annotations` to []"
                )
            if self.personal_data and "person" in self.personal_data.kinds:
                raise ValueError(
                    "personal_data.kinds contains 'person', which needs a trained spaCy pipeline, but `pipeline` is "
                    f"null: {HOW_TO_INSTALL}, or remove 'person'"
                )
        return self
