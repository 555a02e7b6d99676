"""What every model is: on some device, and written to and read from one file of weights."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class Model(nn.Module, ABC):
    """The base of all models.

    Args:
        config: the family's own configuration class.
        vocabulary: of the tokenizer that the model is used with.
    """

    @abstractmethod
    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def save_weights(self, path: Path) -> None:
        """Write the weights as safetensors."""
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}, path)

    def load_weights(self, path: Path) -> None:
        """Take over the weights that :meth:`save_weights` wrote.

        Raises:
            ValueError: naming the file, if it is damaged or does not fit this model.
        """
        try:
            self.load_state_dict(load_file(path))
        except SafetensorError as error:
            raise UserError(f"{path} is damaged ({error}): restore it, or train the model again") from None
        except RuntimeError as error:
            raise UserError(f"{path} does not fit config.json beside it: {error}") from None
