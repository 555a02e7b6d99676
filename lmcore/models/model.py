"""The base class of every model: its configuration, vocabulary, device and weights file."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

Objective = Literal["next_token", "masked_tokens", "corrupted_spans"]
"""What a language model learns to predict: each token from those before it, masked tokens from both sides, or a whole
text from one in which spans are masked."""


class Model(nn.Module, ABC):
    """The base class of all models.

    Args:
        config: the configuration of the model's family.
        vocabulary: the tokenizer's vocabulary.
    """

    objective: ClassVar[Objective]
    """How the model is pretrained and evaluated. A model that is only fine-tuned, such as a classifier, has none."""

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.parameters()).device

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute activations in ``dtype`` (float32 or bfloat16) from now on; ignored by models without activations."""

    def save_weights(self, path: Path) -> None:
        """Write the weights as safetensors."""
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}, path)

    def load_weights(self, path: Path) -> None:
        """Load the weights that :meth:`save_weights` wrote.

        Raises:
            UserError: the file is corrupt or does not match this model.
        """
        try:
            self.load_state_dict(load_file(path))
        except SafetensorError as error:
            raise UserError(f"{path} is damaged ({error}): restore it, or train the model again") from None
        except RuntimeError as error:
            raise UserError(f"{path} does not fit its config.json: {error}") from None
