"""What a model has to know of the tokens: how many there are, and which of them stand for no text."""

from dataclasses import dataclass

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|padding|>"
MASK = "<|mask|>"


@dataclass(frozen=True)
class Vocabulary:
    """Token ids run from 0 to ``size`` - 1.

    Attributes:
        size: number of distinct tokens.
        end_of_text_id: stands behind every document, and before the first one.
        padding_id: fills up sequences shorter than others of their batch.
        mask_id: hides a token that a model has to guess.
    """

    size: int
    end_of_text_id: int
    padding_id: int
    mask_id: int
