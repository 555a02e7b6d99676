"""What identifies a training, so that it never resumes from the checkpoint of another one."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmcore.config.training import TrainingConfig
from lmcore.errors import UserError
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import Batch, Batches

SAMPLED_BATCHES = 32
STARTING_WEIGHTS = "starting weights"


def training_identity(
    model: TrainableModel, batches: Batches, config: TrainingConfig, *, seed: int, n_batches: int
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
        "data": _data_digest(batches, n_batches),
        STARTING_WEIGHTS: tensors_digest(model.state_dict()),
    }


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
