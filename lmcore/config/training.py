"""Settings of trainings: limits, optimizer, schedule, stability; and of pretraining."""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lmcore.config.base import LANGUAGE_MODEL, SCRATCH, Config, InitFrom, Ratio
from lmcore.config.families import CorruptionConfig, MaskingConfig, Probability
from lmcore.config.models import ModelConfig


class AdamWGroupConfig(Config):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Weight decay applies to matrices, embeddings included, as in nanoGPT; not to vectors and scalars.
    """

    learning_rate: PositiveFloat
    beta1: Probability
    beta2: Probability
    weight_decay: Annotated[float, Field(ge=0.0)]


class AdamWConfig(AdamWGroupConfig):
    """AdamW for all parameters."""

    name: Literal["adamw"]


class MuonConfig(Config):
    """Muon for the weight matrices of hidden layers (Jordan et al. 2024), AdamW for all other parameters."""

    name: Literal["muon"]
    learning_rate: PositiveFloat
    momentum: Probability
    weight_decay: Annotated[float, Field(ge=0.0)]
    adamw: AdamWGroupConfig


class ScheduleConfig(Config):
    """Learning rate schedule: linear warm-up, constant rate, decay (WSD).

    The rate rises during ``warmup_steps``. During the last ``decay_ratio`` of all steps (1: all after the warm-up) it
    decays to ``min_lr_ratio`` of its peak. After each of ``restart_steps`` all of this starts anew (warm restarts,
    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983), for the steps up to the next restart or the end.
    """

    warmup_steps: NonNegativeInt
    decay_type: Literal["linear", "cosine"]
    decay_ratio: Ratio
    min_lr_ratio: Ratio
    restart_steps: tuple[PositiveInt, ...]

    @field_validator("restart_steps")
    @classmethod
    def _rise(cls, restart_steps: tuple[int, ...]) -> tuple[int, ...]:
        if list(restart_steps) != sorted(set(restart_steps)):
            raise ValueError("must rise, as in [900, 1800]")
        return restart_steps


class StabilityConfig(Config):
    """Skipping of bad steps, and rollback when they do not stop.

    A step is skipped if its loss or gradient is not finite, or if its loss is above 1 nat per target and
    ``spike_sigmas`` standard deviations above the mean of the last ``spike_window_steps`` accepted steps. After
    ``max_skipped_steps`` in a row, training rolls back to its last checkpoint and skips the batches that led there;
    after ``max_rollbacks`` it fails.
    """

    spike_window_steps: Annotated[int, Field(ge=10)]
    spike_sigmas: PositiveFloat
    max_skipped_steps: PositiveInt
    max_rollbacks: NonNegativeInt


MetricName = Literal["loss", "accuracy", "macro_f1", "chrf", "exact_match"]


class TrainingConfig(Config):
    """Settings of one training.

    It ends after ``max_steps`` or ``num_train_epochs``, whichever comes first. An optimizer step uses
    ``gradient_accumulation_steps`` batches of ``batch_size`` sequences.
    """

    max_steps: PositiveInt
    num_train_epochs: PositiveFloat
    early_stopping_patience: PositiveInt | None
    """Validations without improvement after which training stops early; None: no early stopping."""
    metric_for_best_model: MetricName
    """The metric on the validation data that selects the weights to keep and controls early stopping: the lowest
    ``loss``, or the highest value of another metric that the kind of training offers."""
    batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt
    optimizer: Annotated[AdamWConfig | MuonConfig, Field(discriminator="name")]
    schedule: ScheduleConfig
    max_grad_norm: PositiveFloat
    label_smoothing: Probability
    ema_decay: Probability | None
    """Decay of an exponential moving average of the weights, which is then validated and saved; None: no average."""
    stability: StabilityConfig
    precision: Literal["native", "float32", "bfloat16"]
    """``native`` is bfloat16 if the CPU or GPU has instructions for it, and float32 otherwise."""
    torch_compile: Literal["never", "auto", "always"]
    """``auto`` compiles on a GPU if training is long enough to repay the time. A recurrent model has its own kernels
    and is never compiled."""
    gradient_checkpointing: bool
    """Saves memory at the cost of time: the blocks of a Transformer are computed again in the backward pass."""
    full_determinism: bool
    """On a GPU, use deterministic algorithms only; results on a CPU are always deterministic."""
    logging_steps: PositiveInt
    """Steps between logged metrics."""
    eval_steps: PositiveInt
    """Steps between validations."""
    max_eval_samples: PositiveInt
    """Limit for the sequences or documents of a validation."""
    save_steps: PositiveInt
    """Steps between checkpoints."""


def measured_by(*names: MetricName) -> AfterValidator:
    """Restricts ``metric_for_best_model`` of a training to the loss and the metrics that this training measures."""
    allowed = ("loss", *names)

    def check(training: TrainingConfig) -> TrainingConfig:
        if training.metric_for_best_model not in allowed:
            raise ValueError(
                f"metric_for_best_model is {training.metric_for_best_model}; expected {' or '.join(allowed)} here"
            )
        return training

    return AfterValidator(check)


class LoRAConfig(Config):
    """Fine-tuning of low-rank adapters (Hu et al. 2021) instead of all weights."""

    rank: PositiveInt
    """Inner size of the adapters."""
    alpha: PositiveFloat
    """Scale of the adapters' output, which is multiplied by ``alpha / rank``."""
    dropout: Probability
    """Dropout of the adapters' input."""
    save_adapter: bool
    """Keep the adapters as files beside the merged model, to be loaded beside the model that they were trained on."""


def merged_only(reason: str) -> AfterValidator:
    """Refuses ``save_adapter`` where more than the adapters is trained."""

    def check(lora: LoRAConfig | None) -> LoRAConfig | None:
        if lora is not None and lora.save_adapter:
            raise ValueError(f"{reason}; set save_adapter to false")
        return lora

    return AfterValidator(check)


def _without_adapters(frozen_layers: int | None, info: ValidationInfo) -> int | None:
    if frozen_layers is not None and info.data.get("lora") is not None:
        raise ValueError("lora trains adapters alone, so all layers are frozen: set frozen_layers or lora to null")
    return frozen_layers


FrozenLayers = Annotated[NonNegativeInt | None, AfterValidator(_without_adapters)]
"""How many blocks stay frozen, with the embeddings; excludes ``lora``, which its section has to list before it."""


class MaskedTokensConfig(MaskingConfig):
    """The objective of a masked language model."""

    kind: Literal["masked_tokens"]


class CorruptedSpansConfig(CorruptionConfig):
    """The objective of an encoder-decoder."""

    kind: Literal["corrupted_spans"]


ObjectiveConfig = Annotated[MaskedTokensConfig | CorruptedSpansConfig, Field(discriminator="kind")]


class PretrainConfig(Config):
    """Pretraining of a language model, from random weights or from a model folder."""

    seed: NonNegativeInt
    sequence_length: Annotated[int, Field(ge=2)]
    """Length of a training sequence in tokens."""
    mask_documents: bool
    """No token attends to another document of its sequence; false: to all earlier ones."""
    init_from: InitFrom
    """``scratch`` or a model folder; a folder defines its own model, so that ``model`` is None."""
    model: ModelConfig | None
    objective: ObjectiveConfig | None
    """What a masked model or an encoder-decoder from a folder learns to restore. None: the folder's own objective or,
    where a folder of ``transformers`` has none, the published values. For ``scratch``, ``model`` has the objective."""
    training: Annotated[TrainingConfig, measured_by()]

    @property
    def scratch_model(self) -> ModelConfig:
        """The model that is trained from scratch.

        Raises:
            ValueError: the training starts from a model folder, which defines its own model.
        """
        if self.model is None:
            raise ValueError(f"the training starts from {self.init_from}, not from scratch")
        return self.model

    @model_validator(mode="after")
    def _has_one_model(self) -> Self:
        if self.init_from == LANGUAGE_MODEL:
            raise ValueError(f"init_from = {LANGUAGE_MODEL!r}: expected {SCRATCH!r} or a model folder")
        if self.init_from == SCRATCH and self.model is None:
            raise ValueError(f"model is null, but init_from is {SCRATCH}: describe the model, or name a model folder")
        if self.init_from != SCRATCH and self.model is not None:
            raise ValueError(f"init_from = {self.init_from!r} defines the model: set model to null")
        if self.init_from == SCRATCH and self.objective is not None:
            raise ValueError("objective is only for a model from a folder: set it to null, and the objective in model")
        return self

    @model_validator(mode="after")
    def _family_has_gradient_checkpointing(self) -> Self:
        if self.model is None:
            return self
        family = self.model.family
        if self.training.gradient_checkpointing and not self.model.supports_gradient_checkpointing:
            raise ValueError(
                f"training.gradient_checkpointing works only for Transformers; set it to false for family {family}"
            )
        return self

    @model_validator(mode="after")
    def _family_attends_to_documents(self) -> Self:
        if self.model is None:
            return self
        family = self.model.family
        if self.mask_documents and not self.model.supports_document_mask:
            raise ValueError(
                f"mask_documents works only for Transformers, which attend to earlier tokens; set it to false for "
                f"family {family}"
            )
        return self
