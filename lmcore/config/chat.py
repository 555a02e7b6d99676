"""Settings of fine-tuning a model that holds conversations."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from lmcore.config.base import Config, InitFrom
from lmcore.config.training import FrozenLayers, LoRAConfig, TrainingConfig, measured_by


class ChatTrainingConfig(Config):
    """Training of a model that writes the assistant's messages in conversations; only these messages are learned."""

    init_from: InitFrom
    chat_template: Path | None
    """A Jinja file that renders conversations, as in ``transformers``; None: that of the base model or, if it has none,
    :data:`lmcore.models.chat_template.DEFAULT_TEMPLATE`."""
    max_tokens: Annotated[int, Field(ge=2)]
    """The longest conversation in tokens; of a longer one the last tokens are left out. For an encoder-decoder, the
    longest conversation so far and the longest answer."""
    packing: bool
    """Several conversations share a sequence of ``max_tokens``, and no token attends to another conversation; for
    causal Transformers only."""
    max_train_samples: PositiveInt
    lora: LoRAConfig | None
    """Train adapters instead of the weights; None trains the weights."""
    frozen_layers: FrozenLayers
    """Leave the embeddings and this many of the first blocks frozen; None trains all weights."""
    training: Annotated[TrainingConfig, measured_by()]
