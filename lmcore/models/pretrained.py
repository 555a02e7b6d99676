"""Loads a pretrained model from any folder: one of this library, or one of Hugging Face ``transformers``."""

from pathlib import Path

from lmcore.config.models import MaskingConfig
from lmcore.errors import UserError
from lmcore.models.folder import CONFIG, TOKENIZER, WEIGHTS, load_language_model, read_json
from lmcore.models.huggingface import import_bert, import_gpt2
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

MASKING = MaskingConfig(mlm_probability=0.15, use_whole_words=False)
"""What BERT was trained to restore (Devlin et al. 2019), which its folders do not say."""


def load_pretrained(folder: Path) -> tuple[Model, Tokenizer]:
    """The model in a folder and its tokenizer, in evaluation mode on the CPU.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: the folder has no such model, or a damaged file.
    """
    if is_own_folder(folder):
        return load_language_model(folder)
    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"{folder} is not a model folder: it has no {CONFIG}")
    match architecture := read_json(path).get("model_type"):
        case "gpt2":
            return import_gpt2(folder)
        case "bert":
            tokenizer = Tokenizer.adopt(folder / TOKENIZER)
            return import_bert(folder, tokenizer.vocabulary, MASKING), tokenizer
    raise UserError(f"{path} has model_type {architecture!r}; models that can be loaded have 'gpt2' or 'bert'")


def is_own_folder(folder: Path) -> bool:
    """Whether this library wrote a model folder."""
    return (folder / WEIGHTS).exists()
