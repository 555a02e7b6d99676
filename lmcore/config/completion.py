"""Settings of fine-tuning a model that answers prompts."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lmcore.config.base import Config, InitFrom, Name, TruncationSide
from lmcore.config.training import FrozenLayers, LoRAConfig, TrainingConfig, measured_by


class SummaryExamples(Config):
    """A document's first paragraph is the completion, and the rest is the prompt's ``text``."""

    kind: Literal["summary"]
    min_summary_characters: PositiveInt
    max_summary_characters: PositiveInt
    min_body_characters: PositiveInt

    @model_validator(mode="after")
    def _has_ordered_lengths(self) -> Self:
        if self.max_summary_characters < self.min_summary_characters:
            raise ValueError("max_summary_characters must be at least min_summary_characters")
        return self


class TargetExamples(Config):
    """A document's target is the completion. The prompt's variables are columns of the document.

    If a question follows its context in the document's text, the two become the variables ``context`` and
    ``question``, so that a long context is shortened and the question stays whole.
    """

    kind: Literal["target"]
    question_separator: Annotated[str, Field(min_length=1)] | None
    """The text between context and question, such as ``"\\nQuestion: "``; the last one counts. None: the
    text is not divided."""


class ParameterQuestions(Config):
    """Questions about documented parameters: what is the type of a parameter of this function?

    The section of a docstring that documents its parameters is the prompt's ``context``; each ``parameter`` gives a
    ``question`` and an answer.
    """

    kind: Literal["parameter_questions"]
    max_questions_per_document: PositiveInt
    max_context_characters: PositiveInt
    """Docstrings with a longer section of parameters are not used."""


class ParameterExtraction(Config):
    """The names and types of documented parameters, as a JSON object, are the completion.

    The part of a docstring that documents them is the prompt's ``text``: each run of consecutive parameters is an
    example.
    """

    kind: Literal["parameter_extraction"]
    max_parameters: PositiveInt
    """Limit for the parameters of an example."""
    max_text_characters: PositiveInt
    """Longer runs are not used."""


CompletionExamples = Annotated[
    SummaryExamples | TargetExamples | ParameterQuestions | ParameterExtraction, Field(discriminator="kind")
]


class CompletionTrainingConfig(Config):
    """Training of a model that answers a prompt with a completion."""

    examples: CompletionExamples
    prompt: Path
    """File of the prompt's template, in Jinja's language; its variables are fields of an example."""
    truncated_field: Name
    """The variable that is shortened if a prompt is longer than ``max_prompt_tokens``."""
    truncation_side: TruncationSide
    """Where it loses tokens: ``right`` keeps its beginning, ``left`` its end."""
    max_prompt_tokens: Annotated[int, Field(ge=2)]
    max_completion_tokens: Annotated[int, Field(ge=2)]
    max_train_samples: PositiveInt
    init_from: InitFrom
    lora: LoRAConfig | None
    """Train adapters instead of the weights; None trains the weights."""
    frozen_layers: FrozenLayers
    """Leave the embeddings and this many of the first blocks frozen; None trains all weights."""
    training: Annotated[TrainingConfig, measured_by("chrf", "exact_match")]
