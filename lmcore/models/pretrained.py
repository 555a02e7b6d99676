"""Loads a pretrained model from any folder: one of this library, or one of Hugging Face ``transformers``."""

from pathlib import Path

from lmcore.errors import UserError
from lmcore.models.folder import CONFIG, WEIGHTS, load_language_model
from lmcore.models.huggingface.folder import import_model
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


def load_pretrained(folder: Path) -> tuple[Model, Tokenizer]:
    """The model in a folder and its tokenizer, in evaluation mode on the CPU.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: the folder has no such model, or a damaged file.
    """
    if not (folder / CONFIG).exists():
        raise UserError(f"{folder} is not a model folder: it has no {CONFIG}")
    return load_language_model(folder) if is_own_folder(folder) else import_model(folder)


def is_own_folder(folder: Path) -> bool:
    """Whether this library wrote a model folder."""
    return (folder / WEIGHTS).exists()
