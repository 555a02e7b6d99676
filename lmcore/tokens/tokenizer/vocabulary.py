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
        end_of_text_id: follows every document.
        padding_id: pads the shorter sequences of a batch.
        mask_id: replaces tokens that a model has to predict.
        start_of_text_id: precedes every document; None if the end token of the document before does.
    """

    size: int
    end_of_text_id: int
    padding_id: int
    mask_id: int
    start_of_text_id: int | None = None

    @property
    def start_id(self) -> int:
        """The token that precedes the first token of a document."""
        return self.end_of_text_id if self.start_of_text_id is None else self.start_of_text_id

    @property
    def special_ids(self) -> list[int]:
        """The sorted ids of the special tokens, which represent no text."""
        return sorted({self.start_id, self.end_of_text_id, self.padding_id, self.mask_id})
