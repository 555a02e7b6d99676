"""Adapts a pretrained model before it is fine-tuned: low-rank adapters, frozen layers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmcore.config.training import LoRAConfig
from lmcore.errors import UserError
from lmcore.finetuning.adapter_folder import save_adapter
from lmcore.models.folder import save_language_model
from lmcore.models.lora import add_lora, merge_and_unload
from lmcore.models.model import Model
from lmcore.models.prompt import PromptFormat
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

ADAPTER = "adapter"
"""The folder of the adapters in a model folder."""
BLOCK = re.compile(r"(?:^|_)blocks\.(\d+)\.")
"""In the name of a parameter: the number of its block; an encoder-decoder counts those of both parts."""
EMBEDDINGS = re.compile(r"embedding|positions|token_shift")
"""In the name of a parameter outside the blocks: whether it is read before them."""


def adapt(model: nn.Module, lora: LoRAConfig | None, frozen_layers: int | None, *, seed: int) -> None:
    """Restrict what is trained to adapters or to the blocks after the frozen ones, where the settings say so."""
    if lora is not None:
        add_adapters(model, lora, seed=seed)
    if frozen_layers is not None:
        freeze_layers(model, frozen_layers)


def add_adapters(model: nn.Module, config: LoRAConfig, *, seed: int) -> None:
    """Freeze the model and add LoRA adapters to train; their weights are drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    add_lora(model, rank=config.rank, alpha=config.alpha, dropout=config.dropout, generator=generator)


def freeze_layers(model: nn.Module, n_blocks: int) -> None:
    """Freeze the embeddings and the first blocks: they get neither gradients nor optimizer states.

    An output layer that shares the table of the embeddings is frozen with it. Of an encoder-decoder, the first blocks
    of both parts are frozen.

    Raises:
        UserError: if the model has fewer blocks.
    """
    blocks = {name: int(found[1]) for name, _ in model.named_parameters() if (found := BLOCK.search(name))}
    total = max(blocks.values(), default=-1) + 1
    if n_blocks > total:
        raise UserError(f"frozen_layers is {n_blocks}, but the model has {total} blocks")
    for name, parameter in model.named_parameters():
        is_frozen = blocks[name] < n_blocks if name in blocks else EMBEDDINGS.search(name) is not None
        parameter.requires_grad_(not is_frozen)


def save_adapted(
    folder: Path,
    model: Model,
    tokenizer: Tokenizer,
    record: Mapping[str, Any],
    lora: LoRAConfig | None,
    *,
    prompt_format: PromptFormat | None = None,
    chat_template: str | None = None,
) -> None:
    """Merge the adapters of a model, if it has any, and save it; if configured so, with the adapters in ``adapter/``.

    Args:
        folder: the model folder.
        model: the fine-tuned model.
        tokenizer: its tokenizer.
        record: how it was trained.
        lora: how it was adapted.
        prompt_format: how the prompts of a completion model are encoded, which the adapters keep.
        chat_template: the template of a chat model, which the adapters keep.
    """
    kept = folder.with_name(ADAPTER)
    if lora is not None and lora.save_adapter:
        save_adapter(kept, model, prompt_format=prompt_format, chat_template=chat_template)
    merge_and_unload(model)
    save_language_model(folder, model, tokenizer, record, prompt_format=prompt_format, chat_template=chat_template)
    if kept.is_dir():
        kept.rename(folder / ADAPTER)
