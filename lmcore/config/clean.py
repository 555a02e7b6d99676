"""Settings of the section ``clean``: rules, personal data, duplicates, annotations."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from lmcore.config.base import Config, Name, Ratio
from lmcore.config.languages import check_language

PersonalDataKind = Literal["secret", "email", "iban", "credit_card", "national_id", "ip_address", "phone", "person"]
Annotation = Literal["tags", "lemmas", "entities"]
Language = Annotated[Name, AfterValidator(check_language)]
"""A language's code, as spaCy has it."""
HOW_TO_INSTALL = "install one (such as `pip install -c constraints.txt '.[english]'`) and name it in clean.pipeline"


class FilterConfig(Config):
    """Thresholds: a document beyond one of them is dropped under the name of the rule.

    A document with a target is judged by both together.
    """

    min_lines_for_ratios: NonNegativeInt
    """Documents with fewer lines are not asked for shares of their lines and paragraphs: of one or two, all may begin
    with a dash."""
    min_words_for_ratios: NonNegativeInt
    """Documents with fewer words are not asked for the mean length of their words."""
    min_words_for_repetition: NonNegativeInt
    """Documents with fewer words are not asked how often symbols, words, pairs and runs of words occur: few words
    repeat themselves by chance, and verse on purpose."""
    min_characters: NonNegativeInt
    """A Chinese character or a Korean syllable counts as three."""
    min_words: NonNegativeInt
    min_letter_ratio: Ratio
    """Letters, with the marks that belong to them, among the characters that are not white space."""
    min_mean_word_length: NonNegativeFloat
    max_mean_word_length: NonNegativeFloat
    min_alphabetic_word_ratio: Ratio
    max_symbols_per_word: NonNegativeFloat
    """Hash signs and ellipses; headings, hashtags and prompts are none."""
    min_distinct_stop_words: NonNegativeInt
    """Of the commonest words of English; documents in other languages are not asked."""
    max_bullet_line_ratio: Ratio
    """Lines of a bullet and few words that are no sentence."""
    max_ellipsis_line_ratio: Ratio
    min_sentence_line_ratio: Ratio
    """Lines that end as a sentence does, among those that are not blank."""
    max_repeated_line_ratio: Ratio
    """Characters in lines that already stood in the document, among those of all lines."""
    max_repeated_paragraph_ratio: Ratio
    """Characters in paragraphs that already stood in the document, among those of all paragraphs."""
    min_distinct_word_ratio: Ratio
    """Different words among the words of any 100 that follow each other."""
    max_top_pair_ratio: Ratio
    """Words that belong to the commonest pair of words, among all words."""
    max_repeated_run_ratio: Ratio
    """Words that belong to runs of ten words which stood there before, among all words."""
    placeholders: tuple[Name, ...]
    """Phrases that stand where a text is still to be written: a short document with one of them, or a longer one full
    of them, is dropped."""


class LanguageConfig(Config):
    """Identification of each document's language, by its first 300 characters."""

    kept: tuple[Language, ...] = Field(min_length=1)
    """Codes of the languages that stay."""
    min_probability: Ratio
    """How likely another language has to be for a document to be dropped."""
    min_characters: NonNegativeInt
    """Shorter texts are not judged."""


class BlocklistConfig(Config):
    """Phrases that tell unsuitable content."""

    phrases: tuple[Name, ...]
    max_occurrences: NonNegativeInt
    """A document that holds more of them is dropped,"""
    words_per_occurrence: PositiveInt
    """unless it is long: one more may stand among every so many words."""


class PersonalDataConfig(Config):
    """Personal data and secrets, found by patterns and check digits; ``person`` by a trained pipeline."""

    action: Literal["mask", "drop"]
    """Put the name of its kind in its place, or drop the document."""
    kinds: tuple[PersonalDataKind, ...]
    phone_region: str | None = Field(pattern="^[A-Z]{2}$")
    """The country (ISO 3166) whose telephone numbers need no country code, and whose identity numbers are found."""


class NearDuplicateConfig(Config):
    """Documents that are almost another one."""

    similarity: Ratio
    """Jaccard similarity of the two documents' sets of shingles from which one of them is dropped."""
    shingle_words: PositiveInt
    """Words that follow each other in a shingle."""


class ContaminationConfig(Config):
    """Training documents that hold evaluation documents."""

    ngram_words: PositiveInt
    max_overlap: Ratio
    """Among the n-grams of a training document (its text and target), those that stand in some evaluation document."""
    common_documents: PositiveInt | None
    """N-grams in more training documents or more evaluation documents than this, or in more than a twentieth of a few,
    are instructions, licenses and the like: they do not count. Null counts all of them."""


class CleanConfig(Config):
    """Steps from a raw document to a clean one."""

    language: Language
    """A language that spaCy knows, as its code (``en``, ``de``, ``zh``): that of every text whose language is not
    identified."""
    normalize: bool
    """Repair and unify texts; false leaves them as they are."""
    identify_language: LanguageConfig | None
    """Null takes every text to be in ``language``."""
    filters: FilterConfig | None
    """Null lets every text pass that is not empty."""
    blocklist: BlocklistConfig | None
    personal_data: PersonalDataConfig | None
    remove_duplicates: bool
    near_duplicates: NearDuplicateConfig | None
    contamination: ContaminationConfig | None
    max_bytes_per_label: PositiveInt | dict[Name, PositiveInt] | None
    """Beyond this a label's training documents are dropped, chosen by hash, so that no label drowns the others: one
    number for the labels of all sources, or one for each source that is named. Documents without a label, and those
    that a source gives to validation or test, stay."""
    pipeline: Name | None
    """A trained spaCy pipeline for ``language``, as the name of its package or the path of its folder."""
    annotations: tuple[Annotation, ...]
    """What the pipeline tells of each token, besides tokens and sentences."""

    @model_validator(mode="after")
    def _has_the_pipeline_it_needs(self) -> Self:
        if self.pipeline is None:
            if self.annotations:
                raise ValueError(
                    f"annotations {list(self.annotations)} need a trained spaCy pipeline, and clean.pipeline is null: "
                    f"{HOW_TO_INSTALL}, or empty clean.annotations"
                )
            if self.personal_data and "person" in self.personal_data.kinds:
                raise ValueError(
                    "personal_data.kinds names 'person', whose names a trained spaCy pipeline finds, and "
                    f"clean.pipeline is null: {HOW_TO_INSTALL}, or take 'person' out"
                )
        return self
