"""One dial for the size of a Transformer: everything that should grow with a model follows from one number.

Size 5 is the model as configured. Going up two sizes doubles the width and adds a layer, so that the number of weights
in the layers grows about fivefold:

* width: ``hidden_size * 2 ** ((size - 5) / 2)``, rounded to a multiple of an eighth of it; the feed-forward layers keep
  their ratio to it;
* heads: as many as fit, of an eighth of the configured width each, because attention works with heads of a fixed size
  (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, find that the shape has little influence);
* layers: one more for every two sizes, at least one;
* learning rates: Muon's stays the same, since its updates have the same size in the spectral norm for every width
  (Bernstein & Newhouse 2024, https://arxiv.org/abs/2409.20325); those of AdamW fall with the square root of the width;
* batch: the configured one up to size 5, then twice as large for every two sizes;
* steps: as many as the tokens need, without decay of the learning rate. The weights are averaged over the last steps
  instead, which is worth as much as a decay (Hägele et al. 2024, https://arxiv.org/abs/2405.18392): so every validation
  of one training counts as that of a finished training, and gives another point for a scaling law.
"""

import math
from typing import Any

from lmcore.config.families import FamilyConfig
from lmcore.config.training import MuonConfig, PretrainConfig
from lmcore.errors import UserError

CONFIGURED_SIZE = 5
SIZES_PER_DOUBLING = 2
UNITS = 8
"""Steps of the width between zero and the configured one."""
SMALLEST_UNIT = 4
EMA_DECAY = 0.97
UNLIMITED_EPOCHS = 1000.0


def scaled_model(config: FamilyConfig, size: int) -> Any:
    """The architecture at a size.

    Raises:
        UserError: if the family has no width, layers and heads.
    """
    needed = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    if missing := [name for name in needed if not hasattr(config, name)]:
        raise UserError(
            f"a model of family {config.family_name} has no {', '.join(missing)}: choose a Transformer that reads "
            "from left to right"
        )
    values = config.model_dump()
    width, unit = _width(values["hidden_size"], size), _unit(values["hidden_size"])
    heads = max(1, width // unit)
    changes = {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": max(1, values["num_hidden_layers"] + _doublings_below(size)),
    }
    if "num_key_value_heads" in values:
        changes["num_key_value_heads"] = heads
    if "head_dim" in values:
        changes["head_dim"] = unit
    if "intermediate_size" in values:
        changes["intermediate_size"] = max(1, round(values["intermediate_size"] * width / values["hidden_size"]))
    return type(config).model_validate(values | changes)


def scaled_training(config: PretrainConfig, size: int, *, n_tokens: int, n_validations: int) -> PretrainConfig:
    """Model and training at a size.

    Args:
        config: the pretraining at size 5.
        size: the dial, from 1.
        n_tokens: tokens to train on.
        n_validations: points of the validation curve.
    """
    model, training = scaled_model(config.scratch_model, size), config.training
    batch_size = training.batch_size * 2 ** max(0, _doublings_below(size))
    n_steps = max(n_validations, round(n_tokens / (batch_size * config.sequence_length)))
    interval = n_steps // n_validations
    schedule = training.schedule.model_copy(update={"decay_ratio": 0.0, "restart_steps": ()})
    changes = {
        "max_steps": interval * n_validations,
        "num_train_epochs": UNLIMITED_EPOCHS,
        "early_stopping_patience": None,
        "batch_size": batch_size,
        "optimizer": _scaled_optimizer(training.optimizer, model.hidden_size / _width_of(config.model)),
        "schedule": schedule,
        "ema_decay": EMA_DECAY,
        "eval_steps": interval,
        "save_steps": interval,
        "logging_steps": min(training.logging_steps, interval),
    }
    return config.model_copy(update={"model": model, "training": training.model_copy(update=changes)})


def _scaled_optimizer(optimizer: Any, ratio: float) -> Any:
    """The optimizer of a model that is ``ratio`` times as wide."""
    if isinstance(optimizer, MuonConfig):
        return optimizer.model_copy(update={"adamw": _scaled_optimizer(optimizer.adamw, ratio)})
    return optimizer.model_copy(update={"learning_rate": optimizer.learning_rate / math.sqrt(ratio)})


def _width_of(config: Any) -> int:
    return int(config.hidden_size)


def _unit(hidden_size: int) -> int:
    return max(SMALLEST_UNIT, hidden_size // UNITS)


def _width(hidden_size: int, size: int) -> int:
    unit = _unit(hidden_size)
    return unit * max(1, round(hidden_size * 2 ** ((size - CONFIGURED_SIZE) / SIZES_PER_DOUBLING) / unit))


def _doublings_below(size: int) -> int:
    """How many times the width doubles from the configured size, rounded down: negative for smaller sizes."""
    return math.floor((size - CONFIGURED_SIZE) / SIZES_PER_DOUBLING)
