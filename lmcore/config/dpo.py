"""Settings of fine-tuning on preferences: direct preference optimization."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from lmcore.config.base import Config, InitFrom
from lmcore.config.training import FrozenLayers, LoRAConfig, TrainingConfig, measured_by


class DPOTrainingConfig(Config):
    """Training on pairs of a chosen and a rejected answer (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290)."""

    init_from: InitFrom
    """The model that is trained and, as it is at the start, the reference."""
    max_tokens: Annotated[int, Field(ge=2)]
    """The longest conversation with an answer, in tokens; longer ones are not used."""
    max_train_samples: PositiveInt
    beta: PositiveFloat
    """How strongly the model is held to the reference: the larger, the closer it stays."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)]
    """The probability that a preference is wrong (Mitchell 2023, conservative DPO); 0 trusts all of them."""
    sft_weight: NonNegativeFloat
    """Weight of the chosen answer's negative log-likelihood per token, added to the loss (Pang et al. 2024)."""
    lora: LoRAConfig | None
    """Train adapters instead of the weights; None trains the weights."""
    frozen_layers: FrozenLayers
    """Leave the embeddings and this many of the first blocks frozen; None trains all weights."""
    training: Annotated[TrainingConfig, measured_by()]
