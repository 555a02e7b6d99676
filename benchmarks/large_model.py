"""A GPT of 124 million parameters on one GPU: model FLOPs utilization (MFU) of its training."""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.line import Line
from lmcore.config.models import GPTConfig
from lmcore.config.training import TrainingConfig
from lmcore.models.device import pick_device
from lmcore.models.gpt.model import GPT
from lmcore.tokens.batches.batches import Batch
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from lmcore.training.loop import train
from tasks.context.machine import machine_facts, peak_matrix_rate

VOCABULARY = Vocabulary(size=50_304, end_of_text_id=0, padding_id=1, mask_id=2)
MODEL = {
    "family": "gpt",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "intermediate_size": 3072,
    "hidden_act": "relu2",
    "max_position_embeddings": 1024,
    "dropout": 0.0,
    "tie_word_embeddings": True,
    "use_residual_mixing": True,
    "use_value_embeddings": False,
    "use_token_shift": False,
    "ngram_head_order": 0,
    "final_logit_softcapping": 15.0,
    "rope_theta": 10000.0,
}
TRAINING = {
    "max_steps": 60,
    "num_train_epochs": 1.0,
    "early_stopping_patience": None,
    "batch_size": 64,
    "gradient_accumulation_steps": 8,
    "optimizer": {
        "name": "muon",
        "learning_rate": 0.02,
        "momentum": 0.95,
        "weight_decay": 0.01,
        "adamw": {"learning_rate": 0.003, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0},
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
    "stability": {"spike_window_steps": 50, "spike_sigmas": 6.0, "max_skipped_steps": 5, "max_rollbacks": 1},
    "precision": "native",
    "torch_compile": "always",
    "gradient_checkpointing": False,
    "full_determinism": False,
    "logging_steps": 10,
    "eval_steps": 1000,
    "max_eval_samples": 8,
    "save_steps": 1000,
}


class RandomWindows:
    """Windows of meaningless tokens without end, for measuring speed."""

    n_examples = 10_000_000

    def __init__(self, batch_size: int, max_position_embeddings: int) -> None:
        self.batch_size = batch_size
        self.batches_per_epoch = self.n_examples / batch_size
        generator = torch.Generator().manual_seed(0)
        self._tokens = torch.randint(VOCABULARY.size, (batch_size, max_position_embeddings + 1), generator=generator)

    def training_batch(self, step: int) -> Batch:
        """The same tokens, shifted by the step."""
        moved = self._tokens.roll(step, dims=1)
        return Batch(moved[:, :-1].contiguous(), moved[:, 1:].contiguous())

    def validation_batches(self) -> Iterator[Batch]:
        """One small batch."""
        yield Batch(self._tokens[:8, :-1].contiguous(), self._tokens[:8, 1:].contiguous())


def measure(**changes: Any) -> dict[str, Any]:
    """Train for a few steps; returns the last reported speed and MFU."""
    config = TrainingConfig.model_validate_json(json.dumps(TRAINING | changes))
    device = pick_device()
    torch.manual_seed(0)
    model = GPT(GPTConfig.model_validate(MODEL), VOCABULARY).to(device)
    rates: list[Mapping[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        peak = peak_matrix_rate(device, torch.bfloat16, Path(folder) / "rates.json")
        train(
            model,
            RandomWindows(config.batch_size, model.config.max_position_embeddings),
            config,
            seed=1,
            checkpoints=Path(folder) / "checkpoints",
            on_metrics=lambda _step, figures: rates.append(figures),
            description="Train 124M",
        )
    tokens_per_second = max(figures["tokens_per_second"] for figures in rates)
    return {
        "tokens_per_second": round(tokens_per_second),
        "matrix_teraflops": round(peak / 1e12, 1),
        "share_of_matrix_rate": round(tokens_per_second * model.flops_per_token() / peak, 4),
        "gpu_memory_gib": round(max(figures.get("gpu_memory_gib", 0.0) for figures in rates), 1),
        "changes": changes,
    }


def large_model() -> list[Line]:
    """One line, measured only on machines with a GPU."""
    name, target = "training of 124M parameters on a GPU, MFU", 0.5
    if pick_device().type != "cuda":
        return [Line(name, None, None, "TFLOP/s", None, target, "higher", "not measured: this machine has no GPU")]
    found = measure()
    ratio, peak = found["share_of_matrix_rate"], found["matrix_teraflops"]
    note = f"{found['tokens_per_second']:,} tokens/s, {found['gpu_memory_gib']} GiB"
    return [Line(name, ratio * peak, peak, "TFLOP/s", ratio, target, "higher", note)]


def main() -> None:
    """Print one JSON line per setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], help="training settings to change, as a JSON object")
    arguments = parser.parse_args()
    print(json.dumps(machine_facts()), flush=True)  # noqa: T201
    for changes in arguments.set or ["{}"]:
        print(json.dumps(measure(**json.loads(changes))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
