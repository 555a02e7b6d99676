"""Settings of answering prompts without training, from the prompt and a few examples in it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from lmcore.config.base import Config, Name
from lmcore.config.completion import ParameterExtraction, ParameterQuestions, SummaryExamples, TargetExamples


class LabelAnswers(Config):
    """The answer is the document's label, or another of its columns; that column is not a variable of the prompt."""

    kind: Literal["label"]
    column: Literal["label", "kind", "package", "source", "language"]


PromptExamples = Annotated[
    LabelAnswers | SummaryExamples | TargetExamples | ParameterQuestions | ParameterExtraction,
    Field(discriminator="kind"),
]


class PromptVariant(Config):
    """A prompt that is compared with others."""

    name: Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]*$")]
    template: Path
    """File of a template in Jinja's language. Its variables are the fields of the example to answer and ``examples``: a
    list of training examples, each with its fields and its ``answer``."""
    num_fewshot: NonNegativeInt
    """Training examples in the prompt; fewer, if they do not fit into the model's context."""
    example_picker: Literal["random", "similarity"] | None
    """``random``: the same ones in every prompt, drawn by the seed. ``similarity``: those that are most similar to what
    is asked, by the cosine of weighted words, the most similar one last. None: no examples."""

    @model_validator(mode="after")
    def _picks_what_it_shows(self) -> Self:
        if (self.example_picker is None) != (self.num_fewshot == 0):
            raise ValueError(
                f"num_fewshot is {self.num_fewshot}: example_picker must be random or similarity with examples, and "
                "null without them"
            )
        return self


class PromptsConfig(Config):
    """Prompts that are compared on the language model, and what they ask."""

    examples: PromptExamples
    """The examples to answer are from the test split; those that the prompts show are from the training split."""
    answer: Literal["choice", "generate"]
    """``choice``: the most probable of all answers in the training examples. ``generate``: what the model writes up to
    the end of the line, by greedy decoding."""
    truncated_field: Name
    """The variable that is shortened if a prompt without examples is longer than the model's context."""
    max_documents: PositiveInt
    max_train_samples: PositiveInt
    """Training examples to pick from."""
    max_answer_tokens: PositiveInt
    variants: Annotated[tuple[PromptVariant, ...], Field(min_length=1)]
    """The first one is compared with each of the others."""

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [variant.name for variant in self.variants]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several variants are named {', '.join(repeated)}; names must be unique")
        return self
