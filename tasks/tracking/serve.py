"""A logged model as MLflow loads and serves it: texts in; completions, labels or filled masks out.

MLflow copies this file into the model and runs it there, next to a copy of ``lmcore``, so it imports nothing else from
this project. Call a loaded model as
``model.predict(pandas.DataFrame({"prompt": [...]}), params={"max_new_tokens": 50})`` (a classifier or a masked model
with the column ``text``); the input example of a served model is a request.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property
from pydantic import ValidationError

from lmcore.config.models import max_position_embeddings_of
from lmcore.errors import UserError
from lmcore.finetuning.classification.classifier import chosen_labels, load_classifier, predict
from lmcore.generation import GenerationConfig, Generator
from lmcore.generation.chat import ChatGenerator
from lmcore.generation.generator import AnyPrompt
from lmcore.models.families import FAMILIES
from lmcore.models.folder import (
    ModelDescription,
    load_chat_template,
    load_generative_model,
    load_language_model,
    read_description,
)
from lmcore.models.prompt import Prompt
from lmcore.text.documents.messages import Message, RoleName
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

MASK = "[MASK]"
MESSAGES = "messages"
CONVERSATION = Array(Object([Property("role", DataType.string), Property("content", DataType.string)]))
DEFAULT_NEW_TOKENS = 64
DEFAULT_CANDIDATES = 5
SEED_NOTE = (
    "`seed` (default 0) seeds the sampling: the same request gets the same answer; "
    "`temperature` 0 always picks the most probable token."
)
MAX_TEXTS = 1_000
MAX_CHARACTERS = 100_000

Answer = Callable[[list[Any], dict[str, Any]], pandas.DataFrame]


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


class RefusedRequest(MlflowException):
    """An invalid request: HTTP 400 with one sentence that says what was expected."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    def __setattr__(self, name: str, value: object) -> None:
        # MLflow's server would prepend the request's data to the message.
        if name != "message" or "message" not in self.__dict__:
            super().__setattr__(name, value)


class ServedModel(PythonModel):
    """The served model, of any kind."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model folder."""
        folder = Path(context.artifacts["model"])
        description = read_description(folder)
        self.columns = input_columns(description)
        self.answer: Answer = self._complete
        if description.kind == "classifier":
            self.classifier, self.tokenizer = load_classifier(folder)
            self.answer = self._classify
        elif FAMILIES[type(description.model)].objective == "masked_tokens":
            self.masked, self.tokenizer = load_language_model(folder)
            self.answer = self._fill
        elif description.model.reads_source and description.prompt_format is None:
            self.generator: Generator = SpanRestoringGenerator(*load_generative_model(folder))
        else:
            self.generator = Generator(*load_generative_model(folder), description.prompt_format)
        if description.kind == "chat":
            self.chat = ChatGenerator(self.generator, load_chat_template(folder, self.generator.tokenizer))
            self.answer = self._chat
        refuse_unknown_parameters()

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pandas.DataFrame:
        """One row per text: ``label``, its ``probability`` and all ``probabilities``; the ``labels``, where there may
        be several, with all ``probabilities``; a ``completion``; or the ``filled`` text and the ``candidates`` of each
        mask."""
        try:
            if self.columns == (MESSAGES,):
                return self.answer(check_conversations(list(model_input[MESSAGES])), dict(params or {}))
            inputs = [check_texts(list(model_input[column]), column) for column in self.columns]
            prompts: list[Any] = inputs[0]
            if len(inputs) > 1:
                prompts = [dict(zip(self.columns, row, strict=True)) for row in zip(*inputs, strict=True)]
            return self.answer(prompts, dict(params or {}))
        except ValidationError as error:
            raise RefusedRequest(describe_errors(error)) from None
        except ValueError as error:
            raise RefusedRequest(str(error)) from None

    def _classify(self, texts: list[str], params: dict[str, Any]) -> pandas.DataFrame:
        labels = self.classifier.labels
        n_labels = check_top_k(params["top_k"], least=0) or len(labels)
        probabilities = predict(self.classifier, self.tokenizer, texts)
        chosen = chosen_labels(self.classifier, probabilities)
        columns: dict[str, Any] = {"labels": list(map(list, chosen))}
        if not self.classifier.is_multi_label:
            columns = {"label": [label for (label,) in chosen], "probability": probabilities.max(axis=1).tolist()}
        columns["probabilities"] = [
            dict(sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])[:n_labels])
            for row in probabilities.tolist()
        ]
        return pandas.DataFrame(columns)

    def _complete(self, prompts: list[Prompt], params: dict[str, Any]) -> pandas.DataFrame:
        completions = self.generator.complete(prompts, generation_config(params))
        return pandas.DataFrame({"completion": [completion.text for completion in completions]})

    def _chat(self, conversations: list[list[Message]], params: dict[str, Any]) -> pandas.DataFrame:
        return pandas.DataFrame({"completion": self.chat.reply(conversations, generation_config(params))})

    def _fill(self, texts: list[str], params: dict[str, Any]) -> pandas.DataFrame:
        n_candidates = check_top_k(params["top_k"], least=1)
        return pandas.DataFrame([fill_masks(self.masked, self.tokenizer, text, n_candidates) for text in texts])


def generation_config(params: Mapping[str, Any]) -> GenerationConfig:
    """The parameters of a request as settings; a temperature of 0 is greedy decoding."""
    config = GenerationConfig(
        max_new_tokens=params["max_new_tokens"],
        num_beams=1,
        do_sample=True,
        temperature=params["temperature"] or 1.0,
        top_k=params["top_k"] or None,
        top_p=params["top_p"],
        min_p=params["min_p"] or None,
        seed=params["seed"],
        length_penalty=None,
        repetition_penalty=params["repetition_penalty"],
        stop_strings=tuple(params["stop_strings"]),
        stop_token_ids=(),
    )
    return config.greedy() if params["temperature"] == 0 else config


class SpanRestoringGenerator(Generator):
    """A pretrained encoder-decoder, which restores the masked spans of a text."""

    def encode(self, prompt: AnyPrompt) -> list[int]:
        """The tokens of the text, with the mask token for each mask."""
        return prompt if isinstance(prompt, list) else encode_with_masks(self.tokenizer, str(prompt))


def encode_with_masks(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text, in which each ``[MASK]``, with the space before it, becomes the mask token."""
    first, *others = text.split(MASK)
    tokens = tokenizer.encode(first.removesuffix(" ") if others else first)
    for number, part in enumerate(others, start=1):
        tokens.append(tokenizer.vocabulary.mask_id)
        tokens += tokenizer.encode(part.removesuffix(" ") if number < len(others) else part)
    return tokens


@torch.inference_mode()
def fill_masks(model: Any, tokenizer: Tokenizer, text: str, n_candidates: int) -> dict[str, Any]:
    """The text with the most probable token for each mask, and each mask's candidates with their probabilities.

    Raises:
        ValueError: if the text has no mask, or is longer than the model can read.
    """
    vocabulary = tokenizer.vocabulary
    tokens = torch.tensor([vocabulary.start_id, *encode_with_masks(tokenizer, text)])
    masks = (tokens == vocabulary.mask_id).nonzero().flatten()
    if not len(masks):
        raise UserError(f"there is no mask in {text[:80]!r}: write {MASK} for each missing token")
    logits = model(tokens.unsqueeze(0))[0, masks]
    logits[:, vocabulary.special_ids] = -torch.inf
    top = logits.softmax(dim=-1).topk(min(n_candidates, logits.size(-1)), dim=-1)
    tokens[masks] = top.indices[:, 0]
    candidates = [
        {tokenizer.decode([token]): probability for token, probability in zip(indices, values, strict=True)}
        for indices, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    return {"filled": tokenizer.decode(tokens[1:].tolist()), "candidates": candidates}


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


def input_columns(description: ModelDescription) -> tuple[str, ...]:
    """The columns of a request: ``text``, ``prompt``, or the fields of a prompt that has several."""
    if description.kind == "classifier" or FAMILIES[type(description.model)].objective == "masked_tokens":
        return ("text",)
    if description.kind == "chat":
        return (MESSAGES,)
    fields = () if description.prompt_format is None else description.prompt_format.fields
    return fields if len(fields) > 1 else ("prompt",)


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


def check_conversations(values: Sequence[Any]) -> list[list[Message]]:
    """The conversations of a request.

    Raises:
        ValueError: if a value is no list of messages, or the last one is not the user's.
    """
    found = []
    for row, value in enumerate(values):
        turns = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(turns, list) or not turns or not all(isinstance(turn, Mapping) for turn in turns):
            raise UserError(f"{MESSAGES} of row {row} is {value!r:.80}: expected a list of messages")
        for turn in turns:
            if turn.get("role") not in get_args(RoleName):
                raise UserError(
                    f"a message of row {row} has the role {turn.get('role')!r}: expected system, user or assistant"
                )
        if turns[-1]["role"] != "user":
            raise UserError(f"the last message of row {row} is not the user's: there is nothing to answer")
        contents = check_texts([turn.get("content") for turn in turns], "content")
        found.append([Message(turn["role"], content) for turn, content in zip(turns, contents, strict=True)])
    return found


def check_texts(values: Sequence[Any], column: str) -> list[str]:
    """The texts of a request.

    Raises:
        ValueError: if a value is not a string, or there are too many texts or too long ones.
    """
    if len(values) > MAX_TEXTS:
        raise UserError(f"{len(values):,} rows are too many for one request: expected at most {MAX_TEXTS:,}")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            shown = "null" if pandas.api.types.is_scalar(value) and pandas.isna(value) else repr(value)[:80]
            raise UserError(f"{column} of row {row} is {shown}: expected a string")
        if len(value) > MAX_CHARACTERS:
            raise UserError(f"{column} of row {row} has {len(value):,} characters: expected at most {MAX_CHARACTERS:,}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UserError(f"{column} of row {row} is not valid Unicode: expected a string") from None
    return list(values)


def check_top_k(top_k: int, *, least: int) -> int:
    """The parameter ``top_k`` of a classifier or masked model.

    Raises:
        ValueError: if it is less than ``least``.
    """
    if top_k < least:
        raise UserError(f"top_k is {top_k}: expected at least {least}")
    return top_k


def describe_errors(error: ValidationError) -> str:
    """The invalid parameters of a request, in one line."""
    return "; ".join(f"{item['loc'][-1]} is {item['input']!r}: {item['msg']}" for item in error.errors())


def refuse_unknown_parameters() -> None:
    """Make requests with unknown parameters fail; MLflow ignores them with a warning that only the server sees."""
    pyfunc: Any = importlib.import_module("mlflow.pyfunc")
    enforce = pyfunc._enforce_params_schema
    if hasattr(enforce, "refuses_unknown_parameters"):
        return

    def strict(params: dict[str, Any] | None, schema: Any) -> Any:
        known = {spec.name for spec in schema.params} if schema else set()
        is_ours = known == {"top_k"} or {"max_new_tokens", "repetition_penalty", "seed"} <= known
        if is_ours and isinstance(params, dict) and (unknown := sorted(map(str, set(params) - known))):
            raise RefusedRequest(f"unknown parameter {', '.join(unknown)}: expected {', '.join(sorted(known))}")
        return enforce(params, schema)

    strict.refuses_unknown_parameters = True  # type: ignore[attr-defined]
    pyfunc._enforce_params_schema = strict


set_model(ServedModel())
