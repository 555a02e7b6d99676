"""What identifies a training, so that it never resumes from the checkpoint of another one."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmcore.config.training import ScheduleConfig, TrainingConfig
from lmcore.errors import UserError
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batch, Batches
from lmcore.training.schedule import learning_rate_factor

SAMPLED_BATCHES = 32
STARTING_WEIGHTS, DATA, N_BATCHES, IS_COMPILED = "starting weights", "data", "n_batches", "is_compiled"
LIMITS = ("max_steps", "num_train_epochs", "early_stopping_patience")
"""Settings that decide only when a training ends."""
SCHEDULE = "schedule."


def training_identity(
    model: TrainableModel, batches: Batches, config: TrainingConfig, *, seed: int, n_batches: int, is_compiled: bool
) -> dict[str, Any]:
    """Everything that a training's result depends on: the settings, and checksums of the model and the data.

    The checksum of the data covers at most ``SAMPLED_BATCHES`` batches, spread evenly over those that the training
    uses, and the first validation batches.

    Raises:
        UserError: if there are no training or validation targets.
    """
    settings = json.loads(config.model_dump_json())
    structure = f"{model!r} {model.config.model_dump_json()}"
    return {
        **dict(_flat("", settings)),
        "seed": seed,
        "model": hashlib.sha256(structure.encode()).hexdigest(),
        DATA: _data_digest(batches, n_batches),
        N_BATCHES: n_batches,
        IS_COMPILED: is_compiled,
        STARTING_WEIGHTS: tensors_digest(model.state_dict()),
    }


def is_same_so_far(
    earlier: Mapping[str, Any], *, own: Mapping[str, Any], batches: Batches, config: TrainingConfig, step: int
) -> bool:
    """Whether a training with the identity ``own`` would have the state of an earlier one after ``step`` steps.

    It would if they differ only in when they end and in the learning rates of later steps.

    Args:
        earlier: the identity of the earlier training.
        own: the identity of the training that may continue from it.
        batches: the batches of the training that may continue.
        config: the settings of that training.
        step: the number of steps that the earlier training has done.
    """
    if earlier.keys() != own.keys():
        return False
    if any(earlier[name] != own[name] for name in own if not _decides_only_later_steps(name)):
        return False
    schedule = {key.removeprefix(SCHEDULE): value for key, value in earlier.items() if key.startswith(SCHEDULE)}
    n_steps = [identity[N_BATCHES] // config.gradient_accumulation_steps for identity in (earlier, own)]
    before, now = ScheduleConfig.model_validate_json(json.dumps(schedule)), config.schedule
    has_same_rates = step <= n_steps[1] and all(
        learning_rate_factor(before, number, n_steps[0]) == learning_rate_factor(now, number, n_steps[1])
        for number in range(step)
    )
    return has_same_rates and _data_digest(batches, earlier[N_BATCHES]) == earlier[DATA]


def _decides_only_later_steps(name: str) -> bool:
    return name in (*LIMITS, DATA, N_BATCHES) or name.startswith(SCHEDULE)


def differences(found: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """The differences between two identities, in words, for an error message."""
    return [
        f"{name} was {found.get(name)} there and is {own.get(name)} here"
        if _is_readable(found.get(name)) and _is_readable(own.get(name))
        else f"the {name} differ{'s' if name == 'model' else ''}"
        for name in sorted({*found, *own})
        if found.get(name) != own.get(name)
    ]


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, shapes and values of tensors, in hexadecimal."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _data_digest(batches: Batches, n_batches: int) -> str:
    if not batches.n_examples:
        raise UserError("there are no training examples: add some")
    indices = np.unique(np.linspace(0, n_batches - 1, min(n_batches, SAMPLED_BATCHES)).astype(int))
    sampled = [batches.training_batch(int(index)) for index in indices]
    if not any(batch.n_targets for batch in sampled):
        raise UserError("the training examples have no targets to predict: check how they were built")
    validation = list(_until_targets(batches))
    if not any(batch.n_targets for batch in validation):
        raise UserError("the validation examples have no targets to predict: add some that have")
    total = hashlib.sha256(f"{batches.n_examples} {batches.batch_size}".encode())
    for batch in (*sampled, *validation):
        total.update(tensors_digest({"tokens": batch.tokens, "targets": batch.targets, **batch.arguments}).encode())
    return total.hexdigest()


def _until_targets(batches: Batches) -> Iterator[Batch]:
    """The validation batches up to the first one that has targets."""
    for batch in batches.validation_batches():
        yield batch
        if batch.n_targets:
            return


def _flat(prefix: str, values: Any) -> Iterator[tuple[str, Any]]:
    """The values of nested sections by their dotted path."""
    if not isinstance(values, dict):
        yield prefix, values
        return
    for name, value in values.items():
        yield from _flat(f"{prefix}.{name}" if prefix else name, value)


def _is_readable(value: Any) -> bool:
    """Whether a value is shown in a message; a checksum is not."""
    return not (isinstance(value, str) and len(value) == hashlib.sha256().digest_size * 2)
