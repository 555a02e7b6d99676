"""How models are trained: what every training needs, and what each training stage adds."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from lmcore.config import Config
from lmcore.models.config import ModelConfig, Probability
from lmcore.text.config import CompletionExamples

Share = Annotated[float, Field(ge=0.0, le=1.0)]


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

    ``warm_up_steps`` of rising; ``decay_share`` is the last share of all steps, during which the rate falls (1 is a
    decay from the warm-up on, a smaller share is warm-up-stable-decay) to ``final_share`` of its peak.
    """

    warm_up_steps: NonNegativeInt
    decay: Literal["linear", "cosine"]
    decay_share: Share
    final_share: Share


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

    It ends after ``max_steps`` or ``max_epochs``, whichever comes first. A step takes ``accumulated_batches`` batches
    of ``batch_size`` sequences.
    """

    max_steps: PositiveInt
    max_epochs: PositiveFloat
    max_validations_without_gain: PositiveInt | None
    """Ends the training early; null lets it run."""
    batch_size: PositiveInt
    accumulated_batches: PositiveInt
    optimizer: Annotated[AdamWConfig | MuonConfig, Field(discriminator="name")]
    schedule: ScheduleConfig
    gradient_clip_norm: PositiveFloat
    label_smoothing: Probability
    weight_averaging_decay: Probability | None
    """Of an exponential moving average of the weights, which then is what is validated and kept; null for none."""
    stability: StabilityConfig
    precision: Literal["native", "float32", "bfloat16"]
    """``native`` is bfloat16 where the processor or GPU has instructions for it, float32 elsewhere."""
    compile: Literal["never", "auto", "always"]
    """``auto`` compiles on a GPU where the training is long enough to pay for it. A model that carries a state has
    kernels of its own and is never compiled."""
    recompute_activations: bool
    """Trades time for memory: a Transformer's blocks are computed a second time on the way back."""
    is_deterministic: bool
    """On a GPU: only algorithms that give the same bits each time; a processor's always do."""
    log_every_steps: PositiveInt
    validate_every_steps: PositiveInt
    max_validation_examples: PositiveInt
    checkpoint_every_steps: PositiveInt


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
    window_tokens: Annotated[int, Field(ge=2)]
    """Length of a training sequence."""
    model: ModelConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _has_what_is_asked_for(self) -> Self:
        family = self.model.family
        if self.training.recompute_activations and family in ("ngram", "hmm", "lstm"):
            raise ValueError(f"training.recompute_activations is for Transformers; for family {family} set it to false")
        return self


class ClassificationConfig(Config):
    """Fine-tuning a classifier of documents by their label."""

    max_tokens: Annotated[int, Field(ge=2)]
    """A document's first tokens, which the classifier reads."""
    max_examples: PositiveInt
    min_examples_per_label: PositiveInt
    """Labels with fewer training documents are left out."""
    dropout: Probability
    starts_from: Literal["language_model", "nothing"]
    """Nothing: weights drawn anew, which shows what the pretraining is worth."""
    vectors: Path | None
    """A file in GloVe's format, whose words start from its vectors, of the model's width; null for none."""
    lora: LoRAConfig | None
    """Trains adapters beside the language model's weights instead of the weights; null trains these."""
    training: TrainingConfig


class CompletionConfig(Config):
    """Fine-tuning a model that answers a prompt (a document's body) with a completion (its summary)."""

    examples: CompletionExamples
    separator: str
    """Text between prompt and completion."""
    max_prompt_tokens: Annotated[int, Field(ge=2)]
    max_completion_tokens: Annotated[int, Field(ge=2)]
    max_examples: PositiveInt
    lora: LoRAConfig | None
    """As for the classifier."""
    training: TrainingConfig


class FinetuneConfig(Config):
    """Stage finetune: models that start from the language model; a task set to null is not trained."""

    seed: NonNegativeInt
    classification: ClassificationConfig | None
    completion: CompletionConfig | None
