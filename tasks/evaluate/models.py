"""Loads the trained models for the evaluation: on the device, in its native precision; or tells why one is missing."""

import json
from pathlib import Path
from typing import TypeVar

import torch

from lmcore.finetuning.classification.classifier import Classifier, load_classifier
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.models.folder import load_generative_model, load_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

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
    key = {"classifier": "finetune.classification", "completion": "finetune.completion"}[name]
    return skipped.get(name, f"it is disabled in params.yaml ({key} is null)")


def _on_device(model: AnyModel) -> AnyModel:
    device = pick_device()
    model.compute_in(torch.bfloat16 if native_bfloat16(device) else torch.float32)
    return model.to(device)
