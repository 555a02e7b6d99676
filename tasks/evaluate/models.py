"""The trained models as the evaluation needs them: on the device, in its native precision, or the reason why not."""

import json
from pathlib import Path

import torch

from lmcore.device import native_bfloat16, pick_device
from lmcore.models.folder import load_language_model
from lmcore.models.gpt import GPT
from lmcore.tokens.tokenizer import Tokenizer


def load_on_device(folder: Path) -> tuple[GPT, Tokenizer]:
    """A language or completion model, computing as it was trained wherever the precision is native."""
    model, tokenizer = load_language_model(folder)
    device = pick_device()
    model.compute_in(torch.bfloat16 if native_bfloat16(device) else torch.float32)
    return model.to(device), tokenizer


def why_absent(models: Path, name: str) -> str | None:
    """Why the fine-tuned model ``name`` is not in the folder ``models``; None if it is."""
    if (models / name).exists():
        return None
    skipped: dict[str, str] = json.loads((models / "summary.json").read_text(encoding="utf-8"))["skipped"]
    return skipped.get(name, f"params.yaml does not ask for it ({name} is null in finetune)")
