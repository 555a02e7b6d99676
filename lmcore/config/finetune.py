"""Settings of fine-tuning: one section per model."""

from pydantic import NonNegativeInt

from lmcore.config.base import Config
from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.completion import CompletionTrainingConfig


class FinetuneConfig(Config):
    """Models that start from the language model; a task that is None is not trained."""

    seed: NonNegativeInt
    classification: ClassificationTrainingConfig | None
    completion: CompletionTrainingConfig | None
