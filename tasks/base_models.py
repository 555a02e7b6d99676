"""What a training starts from: the model and the tokenizer that ``init_from`` names, and their folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lmcore.config.base import LANGUAGE_MODEL, SCRATCH
from lmcore.config.finetune import section_names
from lmcore.errors import UserError
from lmcore.models.families import build_model
from lmcore.models.model import Model
from lmcore.models.pretrained import load_pretrained
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tasks.context.environment import Environment
from tasks.context.named_files import is_registered
from tasks.context.source_lock import NamedFile
from tasks.tracking import registered_model_folder


@dataclass(frozen=True)
class BaseModel:
    """A model that a training starts from.

    Attributes:
        model: the model, in evaluation mode on the CPU.
        tokenizer: its tokenizer.
        folder: the model folder, whose content the training depends on.
    """

    model: Model
    tokenizer: Tokenizer
    folder: Path


def load_base_model(
    init_from: str,
    environment: Environment,
    *,
    seed: int,
    language_model: Path | None,
    finetuned: Path | None,
    pinned: Sequence[NamedFile],
) -> BaseModel:
    """The model that a training starts from.

    Args:
        init_from: the value of ``init_from``; ``scratch`` has the shape and the tokenizer of the language model.
        environment: where the work folder and the model registry are.
        seed: decides the weights of ``scratch``.
        language_model: the folder of the pretrained model; None in the stage that trains it.
        finetuned: the folder of the fine-tuned models, each in a folder named after its kind; None in that stage.
        pinned: what the lock file pins for the stage (:func:`tasks.context.named_files.check_named_files`).

    Raises:
        FileNotFoundError: if a file of the model folder is missing.
        UserError: if there is no such model, or its folder has no model that can be trained further.
    """
    folder = base_model_folder(
        init_from, environment, language_model=language_model, finetuned=finetuned, pinned=pinned
    )
    model, tokenizer = load_pretrained(folder)
    if init_from == SCRATCH:
        torch.manual_seed(seed)
        model = build_model(model.config, tokenizer.vocabulary)
    return BaseModel(model, tokenizer, folder)


def base_model_folder(
    init_from: str,
    environment: Environment,
    *,
    language_model: Path | None,
    finetuned: Path | None,
    pinned: Sequence[NamedFile],
) -> Path:
    """The model folder that ``init_from`` names; arguments and errors as for :func:`load_base_model`."""
    if init_from in (SCRATCH, LANGUAGE_MODEL):
        folder = language_model
    elif init_from in section_names():
        folder = None if finetuned is None else finetuned / init_from
    elif is_registered(init_from):
        entry = next((entry for entry in pinned if entry.name == init_from), None)
        if entry is None:
            raise UserError(f"{init_from} is not pinned: run `python -m flows.refresh`")
        folder = registered_model_folder(environment, entry)
    else:
        folder = Path(init_from)
    if folder is None:
        raise UserError(f"init_from = {init_from!r}: this stage has no such model to start from")
    return folder
