"""Folders of low-rank adapters, which are loaded beside the model that they were trained on.

The files are named and laid out like those of the library PEFT (``adapter_config.json``, ``adapter_model.safetensors``
with ``lora_A`` and ``lora_B`` for each layer). The layers have the names of this library's models, so PEFT loads the
adapters only into a model with the same names. ``SHA256SUMS`` verifies the files, and the checksum of the base model's
weights identifies the model that they belong to.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmcore.config.base import Config
from lmcore.errors import UserError
from lmcore.models.lora import add_lora, load_adapter_state, merge_and_unload, named_adapters
from lmcore.models.prompt import PromptFormat
from lmcore.models.verification import verify, write_sums
from lmcore.runtime.files import atomic_folder, write_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
PARTS = {"down": "lora_A.weight", "up": "lora_B.weight"}


class AdapterDescription(Config):
    """What ``adapter_config.json`` says; the first fields are those of PEFT."""

    peft_type: Literal["LORA"]
    r: int
    lora_alpha: float
    lora_dropout: float
    bias: Literal["none"]
    target_modules: tuple[str, ...]
    """The names of the layers that have an adapter."""
    base_model_sha256: str
    """The checksum of the base model's weights (:func:`weights_digest`)."""
    prompt_format: PromptFormat | None
    """Of a completion model: how its prompts are encoded."""
    chat_template: str | None
    """Of a chat model: the Jinja template of its conversations."""


def save_adapter(
    folder: Path, model: nn.Module, *, prompt_format: PromptFormat | None = None, chat_template: str | None = None
) -> None:
    """Replace ``folder`` by the unmerged adapters of ``model`` and the format of the prompts or conversations it reads.

    Raises:
        UserError: the model has no adapters.
    """
    adapters = dict(named_adapters(model))
    if not adapters:
        raise UserError("the model has no adapters to save")
    first = next(iter(adapters.values()))
    description = AdapterDescription(
        peft_type="LORA",
        r=len(first.down),
        lora_alpha=first.scale * len(first.down),
        lora_dropout=first.dropout.p,
        bias="none",
        target_modules=tuple(adapters),
        base_model_sha256=weights_digest(model),
        prompt_format=prompt_format,
        chat_template=chat_template,
    )
    tensors = {
        f"{PREFIX}{name}.{theirs}": getattr(adapter, ours).detach().cpu().contiguous()
        for name, adapter in adapters.items()
        for ours, theirs in PARTS.items()
    }
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, description.model_dump(mode="json"))
        save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
        write_sums(temporary)


def load_adapter(folder: Path, model: nn.Module) -> AdapterDescription:
    """Merge the adapters in ``folder`` into ``model``, the model that they were trained on.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: a file is damaged, or the adapters belong to another model.
    """
    description = read_adapter(folder)
    verify(folder, WEIGHTS)
    if weights_digest(model) != description.base_model_sha256:
        raise UserError(f"the adapters in {folder} were trained on another model: load them beside that one")
    tensors = load_file(folder / WEIGHTS)
    add_lora(
        model,
        rank=description.r,
        alpha=description.lora_alpha,
        dropout=0.0,
        generator=torch.Generator(),
        pattern=f"^({'|'.join(map(re.escape, description.target_modules))})$",
    )
    load_adapter_state(
        model,
        {
            f"{name}.{ours}": tensors[f"{PREFIX}{name}.{theirs}"]
            for name in description.target_modules
            for ours, theirs in PARTS.items()
        },
    )
    merge_and_unload(model)
    return description


def read_adapter(folder: Path) -> AdapterDescription:
    """What the adapters in ``folder`` are; errors as for :func:`load_adapter`."""
    verify(folder, CONFIG)
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        # Adapters of completion models had no chat template at first. JSON mode reads lists as tuples.
        return AdapterDescription.model_validate_json(json.dumps({"chat_template": None} | values))
    except (ValidationError, ValueError, TypeError) as error:
        raise UserError(f"{folder / CONFIG} does not describe adapters: {error}") from None


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names, shapes and values of a model's weights, without adapters, in hexadecimal."""
    total = hashlib.sha256()
    for name, tensor in sorted(_own_weights(model).items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _own_weights(model: nn.Module) -> dict[str, Tensor]:
    weights: dict[str, Any] = dict(model.state_dict())
    for name, adapter in named_adapters(model):
        if adapter.is_merged:
            raise UserError("the adapters are merged into the weights: unmerge them first")
        for part in ("down", "up"):
            del weights[f"{name}.{part}"]
        for part, _ in adapter.base.named_parameters():
            weights[f"{name}.{part}"] = weights.pop(f"{name}.base.{part}")
    return weights
