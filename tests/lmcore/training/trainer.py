"""Small trainings of every family, also run as separate processes that are killed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from lmcore.config.models import HMMConfig
from lmcore.config.training import TrainingConfig
from lmcore.models.families import build_model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batches, WindowBatches
from lmcore.tokens.batches.corruption import CorruptedBatches
from lmcore.tokens.batches.masking import MaskedBatches
from lmcore.tokens.batches.streams import StreamBatches
from lmcore.training.loop import train
from tests.lmcore.models.gpt.test_gpt import VOCABULARY
from tests.lmcore.models.gpt.test_gpt import make_model as make_gpt
from tests.lmcore.models.lstm.test_lstm import make_model as make_lstm
from tests.lmcore.models.small_models import make_model

CONFIG = {
    "max_steps": 40,
    "num_train_epochs": 100.0,
    "early_stopping_patience": None,
    "metric_for_best_model": "loss",
    "batch_size": 4,
    "gradient_accumulation_steps": 1,
    "optimizer": {
        "name": "muon",
        "learning_rate": 0.02,
        "momentum": 0.95,
        "weight_decay": 0.0,
        "adamw": {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0},
    },
    "schedule": {
        "warmup_steps": 5,
        "decay_type": "linear",
        "decay_ratio": 0.5,
        "min_lr_ratio": 0.0,
        "restart_steps": [],
    },
    "max_grad_norm": 1.0,
    "label_smoothing": 0.0,
    "ema_decay": None,
    "stability": {"spike_window_steps": 10, "spike_sigmas": 30.0, "max_skipped_steps": 3, "max_rollbacks": 1},
    "precision": "native",
    "torch_compile": "never",
    "gradient_checkpointing": False,
    "full_determinism": True,
    # Not multiples of each other: a report may span a checkpoint.
    "logging_steps": 5,
    "eval_steps": 7,
    "max_eval_samples": 4,
    "save_steps": 3,
}


STREAM = np.arange(2000) * 7 % VOCABULARY.size  # every token tells the next
BATCHES = {
    "training": STREAM,
    "validation": STREAM,
    "sequence_length": 12,
    "batch_size": 4,
    "seed": 1,
    "max_validation_windows": 4,
}


def make_batches(**changes: Any) -> WindowBatches:
    return WindowBatches(**(BATCHES | changes))


HMM = HMMConfig(family="hmm", num_states=8, emission_rank=None)
MAKERS = {
    "gpt": lambda: make_gpt(),
    "gpt with dropout": lambda: make_gpt(dropout=0.2),
    "lstm": lambda: make_lstm(weight_dropout=0.2, output_dropout=0.1),
    "hmm": lambda: build_model(HMM, VOCABULARY),
    "bert": lambda: make_model("bert"),
    "encoder-decoder": lambda: make_model("encoder_decoder", dropout=0.2),
}
CHANGES: dict[str, dict[str, Any]] = {
    "gpt with dropout": {"ema_decay": 0.9, "gradient_accumulation_steps": 2, "label_smoothing": 0.1},
}


def batches_for(model: TrainableModel) -> Batches:
    if model.carries_state:
        return StreamBatches(**BATCHES)
    windows = WindowBatches(**BATCHES)
    if model.objective == "masked_tokens":
        return MaskedBatches(windows, VOCABULARY, model.config.masking, seed=1)
    if model.objective == "corrupted_spans":
        return CorruptedBatches(windows, VOCABULARY, model.config.corruption, seed=1)
    return windows


def main(folder: Path, family: str, n_steps: int = 40) -> None:
    """Train; leave weights and record in ``folder``."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = MAKERS[family]()
    assert isinstance(model, TrainableModel)
    batches = batches_for(model)
    settings = CONFIG | {"max_steps": n_steps} | CHANGES.get(family, {})
    record = train(
        model,
        batches,
        TrainingConfig.model_validate_json(json.dumps(settings)),
        seed=1,
        checkpoints=folder / "work",
        on_metrics=lambda _step, _metrics: None,
        description="Train",
    )
    save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "record.json").write_text(json.dumps(record.to_json()))
