"""Imports and exports models of any supported architecture, which follows from the folder or from the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcore.config.models import EncoderDecoderConfig, GPTConfig
from lmcore.config.published_models import BERTConfig, GPT2Config, LlamaConfig, T5Config
from lmcore.errors import UserError
from lmcore.models.folder import CONFIG, TOKENIZER
from lmcore.models.huggingface import bert, gpt, gpt2, llama, pegasus, t5
from lmcore.models.huggingface.reading import HuggingFaceFolder, read_settings
from lmcore.models.huggingface.writing import Export, write_folder
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

Import = Callable[[HuggingFaceFolder, Vocabulary], Model]
IMPORTS: dict[str, Import] = {
    "gpt2": gpt2.import_model,
    "bert": bert.import_model,
    **dict.fromkeys(llama.CLASSES, llama.import_model),
    "t5": t5.import_model,
    "pegasus": pegasus.import_model,
    gpt.MODEL_TYPE: gpt.import_model,
}
"""How to import each ``model_type``."""
EXPORTS: dict[type, Callable[[Any], Export]] = {
    GPTConfig: gpt.export_model,
    GPT2Config: gpt2.export_model,
    LlamaConfig: llama.export_model,
    BERTConfig: bert.export_model,
    EncoderDecoderConfig: pegasus.export_model,
    T5Config: t5.export_model,
}
"""How to export each family."""


def import_model(folder: Path) -> tuple[Model, Tokenizer]:
    """The model that ``transformers`` has saved in a folder, in evaluation mode on the CPU, and its tokenizer.

    The folder has ``config.json``, ``model.safetensors`` (or several such files and their index) and
    ``tokenizer.json``. If the tokenizer has no padding or mask token, it is appended, with the mean of all embeddings
    as its embedding.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: the folder has a model that is not supported, a damaged file, or files that do not match.
    """
    architecture = read_settings(folder)["model_type"]
    if architecture not in IMPORTS:
        raise UserError(f"{folder / CONFIG} has model_type {architecture!r}, expected one of {', '.join(IMPORTS)}")
    if not (folder / TOKENIZER).exists():
        raise FileNotFoundError(f"{folder / TOKENIZER} is missing: save the fast tokenizer to the model's folder")
    tokenizer = Tokenizer.adopt(folder / TOKENIZER)
    source = HuggingFaceFolder(folder, n_own_tokens=tokenizer.n_own_tokens)
    return IMPORTS[architecture](source, tokenizer.vocabulary), tokenizer


def export_model(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    """Replace ``folder`` by one that ``transformers`` loads.

    Raises:
        UserError: ``transformers`` has no such model.
    """
    write = EXPORTS.get(type(model.config))
    if write is None:
        names = ", ".join(kind.model_fields["family"].annotation.__args__[0] for kind in EXPORTS)  # type: ignore[attr-defined]
        raise UserError(
            f"a model of family {model.config.family} cannot be exported to Hugging Face, which has no such model: "
            f"only {names} can"
        )
    write_folder(write(model), tokenizer, folder)
