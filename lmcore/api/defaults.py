"""The defaults of ``import lmcore``: small models that train in minutes on a CPU."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from lmcore.config.base import Config
from lmcore.config.generation import GenerationConfig
from lmcore.config.models import GPTConfig
from lmcore.config.published_models import GPT2Config
from lmcore.config.tokenize import BytePairConfig
from lmcore.config.training import TrainingConfig
from lmcore.errors import UserError

AnyConfig = TypeVar("AnyConfig", bound=Config)
Optimizer = Mapping[str, Any]

HEAD_SIZE = 32
LARGE_HIDDEN_SIZE = 512
PATIENCE = 3
MAX_NEW_TOKENS = 128
"""Validations without improvement after which a language model's training ends early."""


def validated(kind: type[AnyConfig], values: Mapping[str, Any]) -> AnyConfig:
    """A configuration of these values.

    Raises:
        UserError: naming the first value that is not allowed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
        raise UserError(f"{first['loc'][-1]} {first['input']!r}: {message}") from None


def tokenizer_config(texts: list[str], vocabulary_size: int | None) -> BytePairConfig:
    """A byte-pair tokenizer; by default a token per 200 characters of text, between 512 and 8192."""
    if vocabulary_size is None:
        vocabulary_size = max(512, min(8192, sum(map(len, texts)) // 200))
    return validated(BytePairConfig, {"kind": "byte_pair", "vocabulary_size": vocabulary_size})


def gpt_config(
    family: Literal["gpt", "gpt2"], hidden_size: int, num_hidden_layers: int, max_position_embeddings: int
) -> GPTConfig | GPT2Config:
    """A GPT with heads of about 32 dimensions; ``gpt2`` is the published architecture, for export."""
    if isinstance(hidden_size, bool) or not isinstance(hidden_size, int):
        raise UserError(f"hidden_size {hidden_size!r}: expected a positive even number")
    heads = range(max(1, hidden_size // HEAD_SIZE), 0, -1)
    num_attention_heads = next((count for count in heads if hidden_size % (2 * count) == 0), None)
    if num_attention_heads is None:
        raise UserError(f"hidden_size {hidden_size}: expected a positive even number")
    shape = {
        "family": family,
        "hidden_size": hidden_size,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": num_attention_heads,
        "max_position_embeddings": max_position_embeddings,
        "dropout": 0.0,
    }
    if family == "gpt2":
        return validated(GPT2Config, shape)
    if family != "gpt":
        raise UserError(f"family {family!r}: expected 'gpt' or 'gpt2'")
    modern = {
        "num_key_value_heads": num_attention_heads,
        "intermediate_size": 4 * hidden_size,
        "hidden_act": "relu2",
        "tie_word_embeddings": True,
        "use_residual_mixing": True,
        "use_value_embeddings": True,
        "use_token_shift": True,
        "ngram_head_order": 0,
        "final_logit_softcapping": 15.0,
        "rope_theta": 10_000.0,
    }
    return validated(GPTConfig, shape | modern)


def muon() -> Optimizer:
    """For a language model from random weights."""
    return {
        "name": "muon",
        "learning_rate": 0.02,
        "momentum": 0.95,
        "weight_decay": 0.01,
        "adamw": _adamw_group(0.01),
    }


def adamw(learning_rate: float) -> Optimizer:
    """For a classifier, and for training a model further."""
    return {"name": "adamw", **_adamw_group(learning_rate)}


def _adamw_group(learning_rate: float) -> Optimizer:
    return {"learning_rate": learning_rate, "beta1": 0.9, "beta2": 0.98, "weight_decay": 0.01}


def finetuning_learning_rate(hidden_size: int, learning_rate: float | None) -> float:
    """5e-5 for a model of the size of published ones (a hidden size of 512 or more), 1e-3 for a smaller one."""
    if learning_rate is not None:
        return learning_rate
    return 5e-5 if hidden_size >= LARGE_HIDDEN_SIZE else 1e-3


def training_config(
    max_steps: int, batch_size: int, optimizer: Optimizer, *, early_stopping_patience: int | None = None
) -> TrainingConfig:
    """A training of ``max_steps`` steps with ten validations, a warm-up and a linear decay of the learning rate."""
    n_steps = max_steps if isinstance(max_steps, int) and max_steps > 0 else 1
    interval = max(1, n_steps // 10)
    return validated(
        TrainingConfig,
        {
            "max_steps": max_steps,
            "num_train_epochs": 1e9,
            "early_stopping_patience": early_stopping_patience,
            "metric_for_best_model": "loss",
            "batch_size": batch_size,
            "gradient_accumulation_steps": 1,
            "optimizer": optimizer,
            "schedule": {
                "warmup_steps": min(20, n_steps // 10),
                "decay_type": "linear",
                "decay_ratio": 0.6,
                "min_lr_ratio": 0.02,
                "restart_steps": (),
            },
            "max_grad_norm": 1.0,
            "label_smoothing": 0.0,
            "ema_decay": None,
            "stability": {"spike_window_steps": 50, "spike_sigmas": 6.0, "max_skipped_steps": 5, "max_rollbacks": 2},
            "precision": "native",
            "torch_compile": "auto",
            "gradient_checkpointing": False,
            "full_determinism": False,
            "logging_steps": interval,
            "eval_steps": interval,
            "max_eval_samples": 64,
            "save_steps": n_steps,
        },
    )


def default_max_new_tokens(context: int | None) -> int:
    """The longest text by default: :data:`MAX_NEW_TOKENS`, or half of the context if that is less."""
    return MAX_NEW_TOKENS if context is None else min(MAX_NEW_TOKENS, max(context // 2, 1))


def generation_config(
    *,
    max_new_tokens: int | None,
    answer_tokens: int | None,
    context: int | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    num_beams: int,
    seed: int,
) -> GenerationConfig:
    """Sampling, greedy decoding (temperature 0) or beam search.

    By default, a text has at most ``answer_tokens``; if that is None, 128 tokens or half the context, if that is less.
    """
    if max_new_tokens is None:
        max_new_tokens = answer_tokens
    if max_new_tokens is None:
        max_new_tokens = default_max_new_tokens(context)
    is_search, is_sampled = num_beams > 1, num_beams == 1 and temperature != 0
    values = {
        "max_new_tokens": max_new_tokens,
        "num_beams": num_beams,
        "do_sample": is_sampled,
        "temperature": temperature if is_sampled else None,
        "top_k": top_k if is_sampled else None,
        "top_p": top_p if is_sampled else None,
        "min_p": None,
        "seed": seed if is_sampled else None,
        "length_penalty": 0.6 if is_search else None,
        "repetition_penalty": 1.0,
        "stop_strings": (),
        "stop_token_ids": (),
    }
    return validated(GenerationConfig, values)
