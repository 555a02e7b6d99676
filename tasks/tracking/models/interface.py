"""How a served model is used, by its kind and family: columns, parameters with their defaults, an example."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

from lmcore.config.models import max_position_embeddings_of
from lmcore.models.families import FAMILIES
from lmcore.models.folder import ModelDescription, read_description
from tasks.tracking.models.serve import MESSAGES, input_columns

CONVERSATION = Array(Object([Property("role", DataType.string), Property("content", DataType.string)]))
DEFAULT_NEW_TOKENS = 64
DEFAULT_CANDIDATES = 5
SEED_NOTE = (
    "`seed` (default 0) seeds the sampling: the same request gets the same answer; "
    "`temperature` 0 always picks the most probable token."
)


@dataclass(frozen=True)
class Interface:
    """How a served model is used.

    Attributes:
        name: the name of the registered model.
        description: what the model does.
        examples: an example of each input column by its name.
        signature: columns and parameters.
    """

    name: str
    description: str
    examples: Mapping[str, str]
    signature: ModelSignature


def interface_of(folder: Path) -> Interface:
    """The interface of the model in a folder, by its kind and family."""
    description = read_description(folder)
    columns, outputs = input_columns(description), [ColSpec(DataType.string, "completion")]
    if description.kind == "classifier":
        name, example = "classifier", "Return the number of rows and columns of the array."
        about, outputs = _classifier_interface(description)
        parameters = ParamSchema([ParamSpec("top_k", DataType.long, 0)])
    elif FAMILIES[type(description.model)].objective == "masked_tokens":
        name, example = "masked-language-model", "Return the [MASK] of rows."
        about = (
            "Fills masks: input column `text`, with `[MASK]` for each missing token; outputs `filled`, the whole "
            "text, and `candidates`, the `top_k` most probable tokens of each mask. It does not continue text."
        )
        outputs = [ColSpec(DataType.string, "filled"), ColSpec(Array(Map(DataType.double)), "candidates")]
        parameters = ParamSchema([ParamSpec("top_k", DataType.long, DEFAULT_CANDIDATES)])
    else:
        name, about, example = _generative_interface(description)
        about = f"{about} {SEED_NOTE}"
        parameters = ParamSchema(
            [ParamSpec(name, getattr(DataType, kind), value) for name, kind, value in _generation_defaults(description)]
            + [ParamSpec("stop_strings", DataType.string, [], shape=(-1,)), ParamSpec("seed", DataType.long, 0)]
        )
    kind = CONVERSATION if columns == (MESSAGES,) else DataType.string
    examples: dict[str, Any] = dict.fromkeys(columns, example)
    if columns == (MESSAGES,):
        examples = {MESSAGES: [{"role": "user", "content": example}]}
    signature = ModelSignature(Schema([ColSpec(kind, column) for column in columns]), Schema(list(outputs)), parameters)
    return Interface(name, about, examples, signature)


def _classifier_interface(description: ModelDescription) -> tuple[str, list[ColSpec]]:
    """Description and output columns of a classifier."""
    probabilities = ColSpec(Map(DataType.double), "probabilities")
    end = "the `probabilities` of the `top_k` most probable labels (default 0: all)."
    if description.problem_type == "multi_label_classification":
        about = f"Finds the labels of a text: input column `text`; outputs `labels`, which may be none, and {end}"
        return about, [ColSpec(Array(DataType.string), "labels"), probabilities]
    about = f"Classifies a text: input column `text`; outputs `label`, its `probability` and {end}"
    return about, [ColSpec(DataType.string, "label"), ColSpec(DataType.double, "probability"), probabilities]


def _generative_interface(description: ModelDescription) -> tuple[str, str, str]:
    """Name, description and example of a model that generates text."""
    if description.kind == "completion":
        columns = " and ".join(f"`{column}`" for column in input_columns(description))
        about = f"Answers a prompt: input {columns}, output column `completion`."
        return "completion", about, "The list is sorted in place, and equal elements keep their order."
    if description.kind == "chat":
        about = (
            "Answers the last message of a conversation: input column `messages`, a list of objects with `role` "
            "(system, user or assistant) and `content`; output column `completion`."
        )
        return "chat", about, "Hello, who are you?"
    if description.model.reads_source:
        about = (
            "Restores missing spans of a text: input column `prompt`, with `[MASK]` for each missing span; output "
            "column `completion` with the whole text."
        )
        return "span-restoring-model", about, "Return the number of [MASK] in the list."
    about = "Continues a text: input column `prompt`, output column `completion`."
    return "language-model", about, "Return the number of"


def _generation_defaults(description: ModelDescription) -> list[tuple[str, str, float]]:
    """Name, type and default of the parameters: a completion model decodes greedily, a language model samples."""
    answers = description.kind in ("completion", "chat")
    prompt_format, context = description.prompt_format, max_position_embeddings_of(description.model)
    n_tokens = prompt_format.max_completion_tokens if prompt_format else DEFAULT_NEW_TOKENS
    return [
        ("max_new_tokens", "long", n_tokens if context is None else min(n_tokens, context // 2)),
        ("temperature", "double", 0.0 if answers else 0.8),
        ("top_k", "long", 0 if answers else 50),  # 0: all tokens
        ("top_p", "double", 1.0),
        ("min_p", "double", 0.0),  # 0: all tokens
        ("repetition_penalty", "double", 1.0),
    ]
