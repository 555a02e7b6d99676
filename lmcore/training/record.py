"""The training record: how and how well a model was trained, as stored in ``record.json`` in its model folder."""

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lmcore.errors import UserError

VERSION: Literal[2] = 2
FILE_NAME = "record.json"


class TrainingRecord(BaseModel):
    """The result of one training. It holds no time, host or path: equal trainings have equal records."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[2] = VERSION
    """The version of this layout; a file without one is of the first."""
    n_parameters: int
    """The number of weights, adapters included; of an n-gram model, the number of different n-grams."""
    n_steps: int
    """Optimizer steps, skipped ones included."""
    n_batches: int
    """Batches read from the data, those that a rollback left out included."""
    n_epochs: float
    """Passes over the training data."""
    n_targets: int
    """Tokens (documents, for a classifier) that the weights were trained to predict."""
    n_skipped_steps: int
    """Steps that left the weights unchanged because the loss or gradient was not finite or spiked."""
    n_rollbacks: int
    """How often the training returned to an earlier checkpoint."""
    best_step: int
    """The step of the best validation, whose weights the model has."""
    best_validation_loss: float
    """The validation loss at ``best_step``, in nats per target: the lowest one, unless another metric decides."""
    precision: str
    """The dtype of the activations, such as ``bfloat16``."""
    seed: int
    """The seed of initialization, order of the data and dropout."""
    history: list[dict[str, int | float]]
    """One entry per report, in order: ``step`` (from 1) and whichever of these were measured: ``loss`` (nats per
    target), ``gradient_norm``, ``learning_rate``, ``validation_loss`` (nats per target), another ``validation_``
    metric."""
    metric_for_best_model: str | None = None
    """The metric that decides which validation is the best; None: the loss."""
    best_metric: float | None = None
    """The value of that metric at ``best_step``."""
    drawn: dict[str, Any] | None = None
    """Of a pretrained model: which part of the corpus it was trained on, as
    :func:`~lmcore.training.pretraining.seen_tokens` reads it."""
    n_cut_answers: int | None = None
    """Of a completion model: how many training examples have a truncated completion."""
    n_cut_prompts: int | None = None
    """Of a completion model: how many training examples have a truncated prompt."""

    @classmethod
    def read(cls, model_folder: Path) -> Self:
        """The record in a model folder.

        Raises:
            FileNotFoundError: if the folder has none.
            ValueError: if it has another version, or is not a record.
        """
        path = model_folder / FILE_NAME
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.get("version", 1) if isinstance(values, dict) else None
        if version != VERSION:
            raise UserError(f"{path} has version {version}, expected {VERSION}: convert the model folder")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(f"{path} is not a training record: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """The values that ``record.json`` holds; what does not apply to the model is left out."""
        return self.model_dump(exclude_none=True)
