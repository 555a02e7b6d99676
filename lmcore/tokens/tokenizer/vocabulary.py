"""What a model needs to know about its tokenizer: the number of tokens and the special tokens."""

from dataclasses import dataclass

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|padding|>"
MASK = "<|mask|>"


@dataclass(frozen=True)
class Vocabulary:
    """Size and special tokens of a vocabulary.

    Attributes:
        size: number of token ids, which range from 0 to ``size`` - 1.
        end_of_text_id: follows every document, and precedes the first token of a generated text.
        padding_id: pads the shorter sequences of a batch.
        mask_id: replaces tokens that a model has to predict.
    """

    size: int
    end_of_text_id: int
    padding_id: int
    mask_id: int
