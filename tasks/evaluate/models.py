"""Loads the trained models on the device, in its native precision, or reports why one is missing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import load_classifier
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.models.folder import load_generative_model, load_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tasks.base_models import BaseModel, load_base_model
from tasks.context.environment import Environment
from tasks.context.source_lock import NamedFile

AnyModel = TypeVar("AnyModel", bound=Model)


def language_model_on_device(folder: Path) -> tuple[Model, Tokenizer]:
    """A language or completion model of any family."""
    model, tokenizer = load_language_model(folder)
    return _on_device(model), tokenizer


def generative_model_on_device(folder: Path) -> tuple[GenerativeModel, Tokenizer]:
    """A language or completion model that can generate text."""
    model, tokenizer = load_generative_model(folder)
    return _on_device(model), tokenizer


def classifier_on_device(folder: Path) -> tuple[Classifier, Tokenizer]:
    """A classifier."""
    classifier, tokenizer = load_classifier(folder)
    return _on_device(classifier), tokenizer


def why_absent(models: Path, name: str) -> str | None:
    """Why the fine-tuned model ``name`` is not in the folder ``models``; None if it is."""
    if (models / name).exists():
        return None
    skipped: dict[str, str] = json.loads((models / "summary.json").read_text(encoding="utf-8"))["skipped"]
    section = "classification" if name == "classifier" else name
    return skipped.get(name, f"it is disabled in params.yaml (finetune.{section} is null)")


@dataclass(frozen=True)
class BaseModels:
    """Loads the models that others were fine-tuned from.

    Attributes:
        environment: where registered models are.
        language_model: the folder of the pretrained model.
        finetuned: the folder of the fine-tuned models.
        seed: the seed of fine-tuning, which decides random weights.
        pinned: what the lock file pins for fine-tuning.
    """

    environment: Environment
    language_model: Path
    finetuned: Path
    seed: int
    pinned: Sequence[NamedFile]

    def load(self, init_from: str) -> BaseModel:
        """The model that ``init_from`` names (:func:`tasks.base_models.load_base_model`)."""
        return load_base_model(
            init_from,
            self.environment,
            seed=self.seed,
            language_model=self.language_model,
            finetuned=self.finetuned,
            pinned=self.pinned,
        )


def _on_device(model: AnyModel) -> AnyModel:
    device = pick_device()
    model.compute_in(torch.bfloat16 if native_bfloat16(device) else torch.float32)
    return model.to(device)
