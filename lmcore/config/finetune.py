"""Settings of fine-tuning: one section per model."""

from typing import Self, Union

from pydantic import NonNegativeInt, model_validator

from lmcore.config.base import Config
from lmcore.config.chat import ChatTrainingConfig
from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.completion import CompletionTrainingConfig
from lmcore.config.dpo import DPOTrainingConfig
from lmcore.config.grpo import GRPOTrainingConfig

CLASSIFICATION = "classification"

SectionConfig = Union[  # noqa: UP007 (one line each)
    ClassificationTrainingConfig,
    CompletionTrainingConfig,
    ChatTrainingConfig,
    DPOTrainingConfig,
    GRPOTrainingConfig,
]


class FinetuneConfig(Config):
    """The models to fine-tune, in the order in which they are trained; one that is None is not trained."""

    seed: NonNegativeInt
    classification: ClassificationTrainingConfig | None
    completion: CompletionTrainingConfig | None
    chat: ChatTrainingConfig | None
    dpo: DPOTrainingConfig | None
    grpo: GRPOTrainingConfig | None

    @property
    def sections(self) -> dict[str, SectionConfig]:
        """The settings of the models that are trained, by the name of their kind."""
        return {name: section for name in section_names() if (section := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _start_from_models_that_exist(self) -> Self:
        earlier: list[str] = []
        for name, section in self.sections.items():
            # Tests create sections with only some of their fields.
            base = getattr(section, "init_from", None)
            if base in section_names() and base not in earlier:
                if base == CLASSIFICATION:
                    reason = "a classifier is not a language model"
                elif getattr(self, base) is None:
                    reason = f"{base} is null, so there is no such model"
                else:
                    reason = f"{base} is not trained before {name}"
                raise ValueError(f"{name}.init_from = {base!r}: {reason}")
            if name != CLASSIFICATION:
                earlier.append(name)
        return self


def section_names() -> list[str]:
    """The kinds of fine-tuning."""
    return [name for name in FinetuneConfig.model_fields if name != "seed"]
