"""A logged model as MLflow loads and serves it: texts in; completions, labels or filled masks out.

MLflow copies this file into the model and runs it there, next to a copy of ``lmcore``, so it imports nothing else from
this project. Call a loaded model as
``model.predict(pandas.DataFrame({"prompt": [...]}), params={"max_new_tokens": 50})`` (a classifier or a masked model
with the column ``text``); the input example of a served model is a request.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import ValidationError

from lmcore.errors import UserError
from lmcore.finetuning.classification.folder import load_classifier
from lmcore.finetuning.classification.prediction import chosen_labels, predict
from lmcore.generation import GenerationConfig, Generator
from lmcore.generation.chat import ChatGenerator
from lmcore.generation.mask_filling import SpanRestoringGenerator, fill_masks
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

MESSAGES = "messages"
MAX_TEXTS = 1_000
MAX_CHARACTERS = 100_000

Answer = Callable[[list[Any], dict[str, Any]], pandas.DataFrame]


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


def input_columns(description: ModelDescription) -> tuple[str, ...]:
    """The columns of a request: ``text``, ``prompt``, or the fields of a prompt that has several."""
    if description.kind == "classifier" or FAMILIES[type(description.model)].objective == "masked_tokens":
        return ("text",)
    if description.kind == "chat":
        return (MESSAGES,)
    fields = () if description.prompt_format is None else description.prompt_format.fields
    return fields if len(fields) > 1 else ("prompt",)


def check_conversations(values: Sequence[Any]) -> list[list[Message]]:
    """The conversations of a request.

    Raises:
        ValueError: if a value is not a list of messages, or the last one is not the user's.
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
