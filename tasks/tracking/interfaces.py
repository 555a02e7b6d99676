"""How each kind of model is asked when MLflow serves it: columns in and out, settings with defaults, an example."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema

    from lmcore.models.folder import ModelDescription

MAX_DEFAULT_TOKENS = 64


@dataclass(frozen=True)
class Interface:
    """What a client needs to know of a served model."""

    description: str
    column: str
    example: str
    signature: "ModelSignature"


def interface_of(folder: Path) -> Interface:
    """The interface of the model in ``folder``."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import Map

    from lmcore.models.folder import read_description

    description = read_description(folder)
    if description.kind == "classifier":
        answer: list[ColSpec | TensorSpec] = [
            ColSpec(DataType.string, "label"),
            ColSpec(DataType.double, "probability"),
            ColSpec(Map(DataType.double), "probabilities"),
        ]
        return Interface(
            "Tells which label a text has: column `text` in; `label`, its `probability` and all `probabilities` out.",
            "text",
            "Return the number of rows and columns of the array.",
            ModelSignature(Schema([ColSpec(DataType.string, "text")]), Schema(answer)),
        )
    columns = Schema([ColSpec(DataType.string, "prompt")]), Schema([ColSpec(DataType.string, "completion")])
    signature = ModelSignature(*columns, _generation_settings(description))
    if description.kind == "completion":
        purpose = "Answers a prompt: column `prompt` in, column `completion` out."
        example = "The list is sorted in place, and equal elements keep their order."
    else:
        purpose = "Continues a text: column `prompt` in, column `completion` out."
        example = "Return the number of"
    return Interface(purpose, "prompt", example, signature)


def _generation_settings(description: "ModelDescription") -> "ParamSchema":
    """What a request may set; by default a completion model gives its likeliest answer, a language model samples."""
    from mlflow.types import DataType, ParamSchema, ParamSpec

    from lmcore.models.config import context_length_of

    prompt_format = description.prompt_format
    context = context_length_of(description.model)
    wanted = prompt_format.max_completion_tokens if prompt_format else MAX_DEFAULT_TOKENS
    return ParamSchema(
        [
            ParamSpec("max_tokens", DataType.long, wanted if context is None else min(wanted, context // 2)),
            ParamSpec("temperature", DataType.double, 0.0 if prompt_format else 0.8),
            ParamSpec("top_k", DataType.long, 0 if prompt_format else 50),  # 0: all tokens
            ParamSpec("top_p", DataType.double, 1.0),
            ParamSpec("min_p", DataType.double, 0.0),  # 0: all tokens
            ParamSpec("repetition_penalty", DataType.double, 1.0),
            ParamSpec("stop", DataType.string, [], shape=(-1,)),
            ParamSpec("seed", DataType.long, 0),
        ]
    )
