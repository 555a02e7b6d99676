"""The self-contained model folder.

It holds ``config.json`` (what the model is), ``weights.safetensors``, ``tokenizer.json``, ``record.json`` (how it was
trained), ``chat_template.jinja`` for a chat model, and ``SHA256SUMS``, by which the others are verified when they are
read. Equal models have equal folders, byte for byte. ``config.json`` and ``record.json`` have the version of the
format; :func:`~lmcore.models.conversion.convert_model_folder` converts folders of older releases.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from lmcore.config.base import Config, TruncationSide
from lmcore.config.classification import EnsembleSize, NgramClassifierConfig, Pooling, ProblemType
from lmcore.config.models import ModelConfig
from lmcore.errors import UserError
from lmcore.models.chat_template import FILE_NAME as TEMPLATE
from lmcore.models.chat_template import ChatTemplate, read_template
from lmcore.models.families import build_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.lora import LoRALinear
from lmcore.models.model import Model
from lmcore.models.prompt import PromptFormat
from lmcore.models.verification import load_weights, verify, write_sums
from lmcore.runtime.files import atomic_folder, write_json, write_text
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

VERSION = 2
"""The format of model folders."""
CONFIG, RECORD, TOKENIZER, WEIGHTS = "config.json", "record.json", "tokenizer.json", "weights.safetensors"


class ModelDescription(Config):
    """What ``config.json`` says, besides its version."""

    kind: Literal["language_model", "classifier", "completion", "chat"]
    model: ModelConfig
    labels: tuple[str, ...] | None
    """Of a classifier: its labels, in the order of the logits."""
    max_tokens: int | None
    """Of a classifier: how many tokens of a text it reads."""
    truncation_side: TruncationSide | None
    """Of a classifier: which tokens of a longer text it leaves out."""
    pooling: Pooling | None
    """Of a classifier: which features its head reads."""
    problem_type: ProblemType | None
    """Of a classifier: whether a text has one label or any number of them."""
    temperature: float | None
    """Of a classifier: what its logits are divided by."""
    bias: float | None
    """Of a classifier: what is added to its divided logits."""
    ensemble_size: EnsembleSize | None
    """Of a classifier: how many models of this shape it averages."""
    ngram_classifier: NgramClassifierConfig | None
    """Of a classifier: the classifier of n-grams that it adds to its network."""
    prompt_format: PromptFormat | None
    """Of a completion model: how its prompts are encoded."""


def save_language_model(
    folder: Path,
    model: Model,
    tokenizer: Tokenizer,
    record: Mapping[str, Any],
    *,
    prompt_format: PromptFormat | None = None,
    chat_template: str | None = None,
) -> None:
    """Replace ``folder`` by a language model, by a completion model (with a format) or a chat model (a template)."""
    description = ModelDescription(
        kind="chat" if chat_template else "completion" if prompt_format else "language_model",
        model=model.config,
        labels=None,
        max_tokens=None,
        truncation_side=None,
        pooling=None,
        problem_type=None,
        temperature=None,
        bias=None,
        ensemble_size=None,
        ngram_classifier=None,
        prompt_format=prompt_format,
    )
    save_folder(folder, description, model, tokenizer, record, chat_template=chat_template)


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
        UserError: also if the model does not generate text, like a masked language model.
    """
    model, tokenizer = load_language_model(folder)
    if not isinstance(model, GenerativeModel):
        raise UserError(f"{folder} holds a model of family {model.config.family}, which does not generate text")
    return model, tokenizer


def load_chat_template(folder: Path, tokenizer: Tokenizer) -> ChatTemplate | None:
    """The chat template of the model in ``folder``; None if it has none.

    Raises:
        UserError: the file was altered, or is not a chat template.
    """
    if (folder / TEMPLATE).exists():
        verify(folder, TEMPLATE)
    source = read_template(folder)
    return None if source is None else ChatTemplate(source, tokenizer)


def read_description(folder: Path) -> ModelDescription:
    """What the model in ``folder`` is; errors as for :func:`load_language_model`."""
    version = folder_version(folder)
    if version < VERSION:
        raise UserError(
            f"{folder} is a model folder of format {version}, but this release reads format {VERSION}; "
            f"convert it with `lmcore convert {folder} NEW_FOLDER`"
        )
    if version > VERSION:
        raise UserError(
            f"{folder} is a model folder of format {version}, but this release reads format {VERSION} at most; "
            f"use a newer release"
        )
    values = read_json(folder / CONFIG)
    del values["version"]
    return as_description(values, folder / CONFIG)


def folder_version(folder: Path) -> int:
    """The format of a model folder: 1 if its ``config.json`` has no version.

    Raises:
        FileNotFoundError: if there is no ``config.json``.
        ValueError: if it was altered or is not a JSON object.
    """
    path = folder / CONFIG
    if not path.exists():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no {CONFIG}")
    verify(folder, CONFIG)
    version = read_json(path).get("version", 1)
    if type(version) is not int:
        raise UserError(f"{path}: version = {version!r}: expected {VERSION}")
    return version


def read_json(path: Path) -> dict[str, Any]:
    """The values of a JSON file of a model folder.

    Raises:
        ValueError: if it is not a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object")
    return values


def as_description(values: dict[str, Any], path: Path) -> ModelDescription:
    """The description that ``config.json`` has (``path``, for messages), checked.

    Raises:
        ValueError: naming every wrong field.
    """
    values = _with_newer_fields(values, path.parent)
    try:
        # JSON mode is strict about types but reads lists as tuples.
        return ModelDescription.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise UserError(f"{path} does not describe a model: {error}") from None


def _with_newer_fields(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values, with the fields that older folders lack as they were at that time: a classifier reads the beginning
    of a text and all of its features, and has one label, no temperature, no ensemble and no n-grams; prompts are a text
    and a separator; there are no n-gram heads."""
    is_classifier = values.get("kind") == "classifier"
    missing: dict[str, Any] = {
        "truncation_side": "right" if is_classifier else None,
        "pooling": "mean_max" if is_classifier else None,
        "problem_type": "single_label_classification" if is_classifier else None,
        "temperature": 1.0 if is_classifier else None,
        "bias": 0.0 if is_classifier else None,
        "ensemble_size": 1 if is_classifier else None,
        "ngram_classifier": None,
    }
    prompt_format = values.get("prompt_format")
    if isinstance(prompt_format, dict) and isinstance(separator := prompt_format.get("separator"), str):
        verify(folder, TOKENIZER)
        n_tokens = len(Tokenizer.load(folder / TOKENIZER).encode(separator))
        missing["prompt_format"] = _with_template(prompt_format, separator, n_tokens)
        values = {name: value for name, value in values.items() if name != "prompt_format"}
    model = values.get("model")
    if isinstance(model, dict) and model.get("family") == "gpt":
        values = values | {"model": {"ngram_head_order": 0} | model}
    return missing | values


def _with_template(prompt_format: dict[str, Any], separator: str, n_tokens: int) -> dict[str, Any]:
    """The same prompts with a template; ``max_prompt_tokens`` did not count the tokens of the separator."""
    others = {name: value for name, value in prompt_format.items() if name != "separator"}
    constant = f"{{% raw %}}{separator}{{% endraw %}}" if "{" in separator else separator
    new = {"template": f"{{{{ text }}}}{constant}", "truncated_field": "text", "truncation_side": "right"}
    if isinstance(longest := others.get("max_prompt_tokens"), int):
        others["max_prompt_tokens"] = longest + n_tokens
    return new | others


def description_values(description: ModelDescription) -> dict[str, Any]:
    """What ``config.json`` holds."""
    return {"version": VERSION, **description.model_dump(mode="json")}


def save_folder(
    folder: Path,
    description: ModelDescription,
    model: Model,
    tokenizer: Tokenizer,
    record: Mapping[str, Any],
    *,
    chat_template: str | None = None,
) -> None:
    """Replace ``folder`` by a model, atomically.

    Raises:
        UserError: the model has adapters, which have to be merged first.
    """
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise UserError("the model has LoRA adapters: merge them with merge_and_unload before saving the model")
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, description_values(description))
        model.save_weights(temporary / WEIGHTS)
        tokenizer.save(temporary / TOKENIZER)
        write_json(temporary / RECORD, {"version": VERSION, **record})
        if chat_template is not None:
            write_text(temporary / TEMPLATE, chat_template)
        write_sums(temporary)
