"""The models of an evaluation: their keys in its results, and their names in text."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmcore.config.families import FamilyConfig
from lmcore.training.record import TrainingRecord

MODEL = "model"
"""Key of the evaluated model, whatever its family, so that runs can be compared."""
NGRAM, SHORTER_NGRAM, NGRAM_ON_SEEN = "ngram", "shorter_ngram", "ngram_on_seen_tokens"
INTERPOLATION, UNIGRAM = "interpolation", "unigram"
BAG_OF_WORDS, CHARACTER_NGRAMS, ENDINGS = "bag_of_words", "character_ngrams", "ending_character_ngrams"
MAJORITY = "majority_class"
LABEL_FREQUENCIES = "label_frequencies"
UNCALIBRATED = "uncalibrated"
"""Key of the evaluated classifier without its temperature."""
NETWORK = "network_alone"
"""Key of the evaluated classifier without its n-grams."""
NEAREST_NEIGHBOR, FREQUENT_COMPLETION = "nearest_neighbor", "most_frequent_completion"
FIRST_SENTENCE, WHOLE_PROMPT = "first_sentence", "whole_prompt"
LAST_TURN = "last_turn"
"""Key of the baseline that reads only the last message of a conversation."""
BASE = "base"
"""Key of the model that the evaluated one was trained from."""


def sized_name(config: FamilyConfig, record: TrainingRecord) -> str:
    """The family with its size: ``GPT, 6.6 M parameters``."""
    return f"{config.display_name}, {short_number(record.n_parameters)} {config.size_unit}"


def training_data(sources: Sequence[str], split: Mapping[str, Any], record: TrainingRecord) -> str:
    """What a model was trained on: ``documentation (8,457 documents, 1.1 M tokens), 900 steps``.

    Args:
        sources: names of the corpus's sources.
        split: the size of the training split, as in the summary of the tokens.
        record: the training record.
    """
    steps = f", {record.n_steps:,} steps" if record.n_steps > 1 else ""
    size = f"{split['n_documents']:,} documents, {short_number(split['n_tokens'])} tokens"
    return f"{', '.join(sources) or 'its corpus'} ({size}){steps}"


def short_number(value: float) -> str:
    """A number with up to three significant digits: ``950``, ``312 k``, ``6.6 M``, ``1.24 B``."""
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:,.0f}"
