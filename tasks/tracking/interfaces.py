"""How each kind of model is registered and asked: columns, settings with their defaults, an example."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema

    from lmcore.models.folder import ModelDescription

MAX_DEFAULT_TOKENS = 64
MAX_CANDIDATES = 5
SEED_NOTE = (
    "`seed` (default 0) seeds the sampling: the same request gets the same answer; "
    "`temperature` 0 always picks the most probable token."
)


@dataclass(frozen=True)
class Interface:
    """What a client needs to know of a served model.

    Attributes:
        name: of the registered model; there is one for each kind, so that its versions can take each other's place.
        description: what the model does, in sentences.
        column: that holds the texts.
        example: of a text.
        signature: columns and settings.
    """

    name: str
    description: str
    column: str
    example: str
    signature: "ModelSignature"


def interface_of(folder: Path) -> Interface:
    """The interface of the model in ``folder``."""
    from lmcore.models.families import FAMILIES
    from lmcore.models.folder import read_description

    description = read_description(folder)
    if description.kind == "classifier":
        return _classifier()
    if description.kind == "completion":
        return _writer(
            "completion",
            "Answers a prompt: input column `prompt`, output column `completion`.",
            "The list is sorted in place, and equal elements keep their order.",
            description,
        )
    if FAMILIES[type(description.model)].objective == "masked_tokens":
        return _masked()
    if description.model.reads_source:
        return _writer(
            "span-restoring-model",
            "Restores missing spans of a text: input column `prompt`, with `[MASK]` for each missing span; output "
            "column `completion` with the whole text.",
            "Return the number of [MASK] in the list.",
            description,
        )
    return _writer(
        "language-model",
        "Continues a text: input column `prompt`, output column `completion`.",
        "Return the number of",
        description,
    )


def _classifier() -> Interface:
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec
    from mlflow.types.schema import Map

    return Interface(
        "classifier",
        "Classifies a text: input column `text`; outputs `label`, its `probability` and the `probabilities` of the "
        "`top_k` most probable labels (default 0: all).",
        "text",
        "Return the number of rows and columns of the array.",
        _signature(
            "text",
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Map(DataType.double), "probabilities"),
            ],
            ParamSchema([ParamSpec("top_k", DataType.long, 0)]),
        ),
    )


def _masked() -> Interface:
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec
    from mlflow.types.schema import Array, Map

    return Interface(
        "masked-language-model",
        "Fills masks: input column `text`, with `[MASK]` for each missing token; outputs `filled`, the whole text, and "
        "`candidates`, the `top_k` most probable tokens of each mask. It does not continue text.",
        "text",
        "Return the [MASK] of rows.",
        _signature(
            "text",
            [ColSpec(DataType.string, "filled"), ColSpec(Array(Map(DataType.double)), "candidates")],
            ParamSchema([ParamSpec("top_k", DataType.long, MAX_CANDIDATES)]),
        ),
    )


def _writer(name: str, description: str, example: str, model: "ModelDescription") -> Interface:
    from mlflow.types import ColSpec, DataType

    answer: list[ColSpec] = [ColSpec(DataType.string, "completion")]
    signature = _signature("prompt", answer, _generation_settings(model))
    return Interface(name, f"{description} {SEED_NOTE}", "prompt", example, signature)


def _signature(column: str, answer: "list[ColSpec]", settings: "ParamSchema") -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    return ModelSignature(Schema([ColSpec(DataType.string, column)]), Schema(list(answer)), settings)


def _generation_settings(description: "ModelDescription") -> "ParamSchema":
    """What a request may set; by default a completion model gives its likeliest answer, a language model samples."""
    from mlflow.types import DataType, ParamSchema, ParamSpec

    from lmcore.config.models import max_position_embeddings_of

    prompt_format = description.prompt_format
    context = max_position_embeddings_of(description.model)
    wanted = prompt_format.max_completion_tokens if prompt_format else MAX_DEFAULT_TOKENS
    return ParamSchema(
        [
            ParamSpec("max_new_tokens", DataType.long, wanted if context is None else min(wanted, context // 2)),
            ParamSpec("temperature", DataType.double, 0.0 if prompt_format else 0.8),
            ParamSpec("top_k", DataType.long, 0 if prompt_format else 50),  # 0: all tokens
            ParamSpec("top_p", DataType.double, 1.0),
            ParamSpec("min_p", DataType.double, 0.0),  # 0: all tokens
            ParamSpec("repetition_penalty", DataType.double, 1.0),
            ParamSpec("stop", DataType.string, [], shape=(-1,)),
            ParamSpec("seed", DataType.long, 0),
        ]
    )
