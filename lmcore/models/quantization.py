"""Weights in 8 bits, for faster generation."""

from typing import Protocol, runtime_checkable

import torch

from lmcore.errors import UserError
from lmcore.models.model import Model


@runtime_checkable
class EightBitModel(Protocol):
    """A model that can compute with the weights of its matrix products in 8 bits.

    Its parameters stay as they are, so that it can still be saved; from then on, it does not notice if they change.
    """

    def store_in_8bit(self) -> bool:
        """Compute with 8-bit weights from now on, in inference mode; false if the model has layers that it cannot
        convert, such as adapters."""


def load_in_8bit(model: Model) -> None:
    """Make ``model`` generate and score with 8-bit weights.

    Each weight is rounded to one of 255 levels, and the inputs of each matrix product are rounded likewise (dynamic
    quantization). A text's logits then depend, in their last digits, on the texts of the same batch.

    Raises:
        UserError: the model's family has no 8-bit weights, or the model has adapters.
    """
    if not isinstance(model, EightBitModel):
        raise UserError(f"{type(model).__name__} has no 8-bit weights: only families gpt and gpt2 have")
    with torch.inference_mode():
        is_converted = model.eval().store_in_8bit()
    if not is_converted:
        raise UserError("the model has adapters, whose weights cannot be converted to 8 bits: merge them first")
