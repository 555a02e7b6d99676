"""The trained models as the evaluation needs them: on the device, in its native precision, or the reason why not."""

import json
from pathlib import Path
from typing import TypeVar

import torch

from lmcore.finetuning.classifier import Classifier, load_classifier
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.models.folder import load_generative_model, load_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.model import Model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

AnyModel = TypeVar("AnyModel", bound=Model)


def language_model_on_device(folder: Path) -> tuple[Model, Tokenizer]:
    """A language or completion model of any family, computing in the device's native precision."""
    model, tokenizer = load_language_model(folder)
    return _on_device(model), tokenizer


def generative_model_on_device(folder: Path) -> tuple[GenerativeModel, Tokenizer]:
    """Likewise, but one that text can be generated with."""
    model, tokenizer = load_generative_model(folder)
    return _on_device(model), tokenizer


def classifier_on_device(folder: Path) -> tuple[Classifier, Tokenizer]:
    """A classifier, computing in the device's native precision."""
    classifier, tokenizer = load_classifier(folder)
    return _on_device(classifier), tokenizer


def why_absent(models: Path, name: str) -> str | None:
    """Why the fine-tuned model ``name`` is not in the folder ``models``; None if it is."""
    if (models / name).exists():
        return None
    skipped: dict[str, str] = json.loads((models / "summary.json").read_text(encoding="utf-8"))["skipped"]
    return skipped.get(name, f"params.yaml does not ask for it ({name} is null in finetune)")


def _on_device(model: AnyModel) -> AnyModel:
    device = pick_device()
    model.compute_in(torch.bfloat16 if native_bfloat16(device) else torch.float32)
    return model.to(device)
