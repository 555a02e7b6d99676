"""The self-describing model folder: whoever has it needs nothing else to use the model.

It holds ``config.json`` (what the model is), ``weights.safetensors``, ``tokenizer.json`` and ``record.json`` (how it
was trained). Equal models have equal folders, byte for byte.
"""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from lmcore.config import Config
from lmcore.files import atomic_folder, write_json, write_text
from lmcore.models.config import GPTConfig
from lmcore.models.gpt import GPT
from lmcore.models.prompt import PromptFormat
from lmcore.tokens.tokenizer import Tokenizer

Module = TypeVar("Module", bound=nn.Module)


class ModelDescription(Config):
    """What ``config.json`` says."""

    kind: Literal["language_model", "classifier", "completion"]
    model: GPTConfig
    vocabulary_size: int
    labels: tuple[str, ...] | None
    """Of a classifier, in the order of its logits."""
    max_tokens: int | None
    """Of a classifier: how much of a text it reads."""
    prompt_format: PromptFormat | None
    """Of a completion model."""


def save_language_model(
    folder: Path, model: GPT, tokenizer: Tokenizer, record: Any, *, prompt_format: PromptFormat | None = None
) -> None:
    """Replace ``folder`` by a language model, or a completion model where a prompt format is given."""
    description = ModelDescription(
        kind="completion" if prompt_format else "language_model",
        model=model.config,
        vocabulary_size=model.vocabulary_size,
        labels=None,
        max_tokens=None,
        prompt_format=prompt_format,
    )
    save_folder(folder, description, model, tokenizer, record)


def load_language_model(folder: Path) -> tuple[GPT, Tokenizer]:
    """The language or completion model in ``folder``, in evaluation mode on the processor.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the folder holds something else, or weights that do not fit the description.
    """
    description = read_description(folder)
    if description.kind == "classifier":
        raise ValueError(f"{folder} holds a classifier, not a language model")
    model = GPT(description.model, description.vocabulary_size)
    return load_weights(folder, model), Tokenizer.load(folder / "tokenizer.json")


def read_description(folder: Path) -> ModelDescription:
    """What the model in ``folder`` is."""
    path = folder / "config.json"
    if not path.exists():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no config.json")
    try:
        return ModelDescription.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ValueError(f"{path} was written by another version or damaged: {error}") from None


def save_folder(
    folder: Path, description: ModelDescription, model: nn.Module, tokenizer: Tokenizer, record: Any
) -> None:
    """Replace ``folder`` by a model, atomically."""
    with atomic_folder(folder) as temporary:
        write_text(temporary / "config.json", description.model_dump_json(indent=2) + "\n")
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, temporary / "weights.safetensors")
        tokenizer.save(temporary / "tokenizer.json")
        write_json(temporary / "record.json", record)


def load_weights(folder: Path, model: Module) -> Module:
    """The model with the weights in ``folder``, in evaluation mode.

    Raises:
        ValueError: if the weights do not fit the model.
    """
    try:
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except RuntimeError as error:
        raise ValueError(f"{folder / 'weights.safetensors'} does not fit config.json beside it: {error}") from None
    model.eval()
    return model
