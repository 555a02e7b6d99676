"""The self-contained model folder.

It has ``config.json`` (what the model is), ``weights.safetensors``, ``tokenizer.json``, ``record.json`` (how the model
was trained) and ``SHA256SUMS``, against which the others are verified when they are read. Equal models have equal
folders, byte for byte.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from lmcore.config.base import Config
from lmcore.config.models import ModelConfig
from lmcore.errors import UserError
from lmcore.models.families import build_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.lora import LoRALinear
from lmcore.models.model import Model
from lmcore.models.prompt import PromptFormat
from lmcore.models.verification import load_weights, verify, write_sums
from lmcore.runtime.files import atomic_folder, write_json, write_text
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

TOKENIZER, WEIGHTS = "tokenizer.json", "weights.safetensors"


class ModelDescription(Config):
    """The content of ``config.json``."""

    kind: Literal["language_model", "classifier", "completion"]
    model: ModelConfig
    labels: tuple[str, ...] | None
    """Of a classifier: its labels, in the order of the logits."""
    max_tokens: int | None
    """Of a classifier: how many tokens of a text it reads."""
    prompt_format: PromptFormat | None
    """Of a completion model: how its prompts are encoded."""


def save_language_model(
    folder: Path, model: Model, tokenizer: Tokenizer, record: Any, *, prompt_format: PromptFormat | None = None
) -> None:
    """Replace ``folder`` by a language model or, with a prompt format, a completion model."""
    description = ModelDescription(
        kind="completion" if prompt_format else "language_model",
        model=model.config,
        labels=None,
        max_tokens=None,
        prompt_format=prompt_format,
    )
    save_folder(folder, description, model, tokenizer, record)


def load_language_model(folder: Path) -> tuple[Model, Tokenizer]:
    """The language or completion model in ``folder``, in evaluation mode on the CPU.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: the folder has a classifier, weights that do not match its configuration, or a corrupt file.
    """
    description = read_description(folder)
    if description.kind == "classifier":
        raise UserError(f"{folder} holds a classifier, not a language model")
    verify(folder, TOKENIZER, WEIGHTS)
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    model = load_weights(
        lambda: build_model(description.model, tokenizer.vocabulary), description.model, folder / WEIGHTS
    )
    return model, tokenizer


def load_generative_model(folder: Path) -> tuple[GenerativeModel, Tokenizer]:
    """As :func:`load_language_model`, for a model that text can be generated with.

    Raises:
        UserError: also if the model does not generate text, as a masked language model.
    """
    model, tokenizer = load_language_model(folder)
    if not isinstance(model, GenerativeModel):
        raise UserError(f"{folder} holds a model of family {model.config.family}, which does not generate text")
    return model, tokenizer


def read_description(folder: Path) -> ModelDescription:
    """The ``config.json`` of the model in ``folder``; errors as for :func:`load_language_model`."""
    path = folder / "config.json"
    if not path.exists():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no config.json")
    verify(folder, "config.json")
    try:
        return ModelDescription.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{path} was written by another version: {error}") from None


def save_folder(folder: Path, description: ModelDescription, model: Model, tokenizer: Tokenizer, record: Any) -> None:
    """Replace ``folder`` by a model, atomically.

    Raises:
        UserError: the model has adapters, which have to be merged first.
    """
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise UserError("the model has LoRA adapters: merge them with merge_and_unload before saving the model")
    with atomic_folder(folder) as temporary:
        write_text(temporary / "config.json", description.model_dump_json(indent=2) + "\n")
        model.save_weights(temporary / WEIGHTS)
        tokenizer.save(temporary / TOKENIZER)
        write_json(temporary / "record.json", record)
        write_sums(temporary)
