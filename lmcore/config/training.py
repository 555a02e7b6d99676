"""Settings of a training: limits, optimizer, schedule, stability; and the section ``pretrain``."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from lmcore.config.base import Config, Ratio
from lmcore.config.models import ModelConfig, Probability


class AdamWConfig(Config):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Whatever is a matrix decays, embeddings and positions included, as in nanoGPT; vectors and scalars do not.
    """

    name: Literal["adamw"]
    learning_rate: PositiveFloat
    beta1: Probability
    beta2: Probability
    weight_decay: Annotated[float, Field(ge=0.0)]


class MuonConfig(Config):
    """Muon for the matrices between layers (Jordan et al. 2024), AdamW for everything else."""

    name: Literal["muon"]
    learning_rate: PositiveFloat
    momentum: Probability
    weight_decay: Annotated[float, Field(ge=0.0)]
    others: AdamWConfig


class ScheduleConfig(Config):
    """The learning rate's course: a linear rise, a plateau, a fall.

    ``warmup_steps`` of rising; ``decay_ratio`` is the last share of all steps, during which the rate falls (1 is a
    decay from the warm-up on, a smaller share is warm-up-stable-decay) to ``min_lr_ratio`` of its peak.
    """

    warmup_steps: NonNegativeInt
    decay: Literal["linear", "cosine"]
    decay_ratio: Ratio
    min_lr_ratio: Ratio


class StabilityConfig(Config):
    """Which steps never reach the weights, and what follows when they come one after the other.

    A step is skipped if its loss or gradient is not finite, or if its loss lies ``spike_sigmas`` standard deviations
    above the mean of the last ``spike_window_steps`` accepted ones. After ``max_skipped_steps`` in a row the training
    goes back to its last checkpoint and leaves the data out that led there; after ``max_rollbacks`` of that it ends
    with an error.
    """

    spike_window_steps: Annotated[int, Field(ge=10)]
    spike_sigmas: PositiveFloat
    max_skipped_steps: PositiveInt
    max_rollbacks: NonNegativeInt


class TrainingConfig(Config):
    """One training: how long, in what portions, by what optimizer, and how often it is looked at.

    It ends after ``max_steps`` or ``num_train_epochs``, whichever comes first. A step takes
    ``gradient_accumulation_steps`` batches of ``batch_size`` sequences.
    """

    max_steps: PositiveInt
    num_train_epochs: PositiveFloat
    early_stopping_patience: PositiveInt | None
    """Ends the training early; null lets it run."""
    batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt
    optimizer: Annotated[AdamWConfig | MuonConfig, Field(discriminator="name")]
    schedule: ScheduleConfig
    max_grad_norm: PositiveFloat
    label_smoothing: Probability
    ema_decay: Probability | None
    """Of an exponential moving average of the weights, which then is what is validated and kept; null for none."""
    stability: StabilityConfig
    precision: Literal["native", "float32", "bfloat16"]
    """``native`` is bfloat16 where the processor or GPU has instructions for it, float32 elsewhere."""
    compile: Literal["never", "auto", "always"]
    """``auto`` compiles on a GPU where the training is long enough to pay for it. A model that carries a state has
    kernels of its own and is never compiled."""
    gradient_checkpointing: bool
    """Trades time for memory: a Transformer's blocks are computed a second time on the way back."""
    full_determinism: bool
    """On a GPU: only algorithms that give the same bits each time; a processor's always do."""
    logging_steps: PositiveInt
    eval_steps: PositiveInt
    max_eval_samples: PositiveInt
    save_steps: PositiveInt


class LoRAConfig(Config):
    """Fine-tuning by low-rank adapters (Hu et al. 2021): the model itself stays as it is."""

    rank: PositiveInt
    """The adapters' inner size."""
    alpha: PositiveFloat
    """The weight of what the adapters say, which is divided by the rank."""
    dropout: Probability
    """Of the adapters' inputs."""


class PretrainConfig(Config):
    """Stage pretrain: a language model from token shards."""

    seed: NonNegativeInt
    sequence_length: Annotated[int, Field(ge=2)]
    """Length of a training sequence."""
    model: ModelConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _has_what_is_asked_for(self) -> Self:
        if self.training.gradient_checkpointing and not self.model.supports_gradient_checkpointing:
            raise ValueError(
                f"training.gradient_checkpointing is for Transformers; for family {self.model.family} set it to false"
            )
        return self
