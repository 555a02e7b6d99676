"""A logged model as MLflow loads and serves it: texts in; completions, labels or filled gaps out.

MLflow copies this file into the model and runs it there, beside a copy of ``lmcore``: it may import nothing else of
this project. Ask a loaded model with
``model.predict(pandas.DataFrame({"prompt": [...]}), params={"max_new_tokens": 50})`` (a classifier or a masked model
with the column ``text``), or a served one with a request as in its input example.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import ValidationError

from lmcore.errors import UserError
from lmcore.finetuning.classifier import load_classifier, predict
from lmcore.generation import GenerationConfig, Generator, SamplingConfig
from lmcore.models.families import FAMILIES
from lmcore.models.folder import load_generative_model, load_language_model, read_description
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

GAP = "[MASK]"
MAX_TEXTS = 1_000
MAX_CHARACTERS = 100_000

Answer = Callable[[list[str], dict[str, Any]], pandas.DataFrame]


class RefusedRequest(MlflowException):
    """A request that cannot be answered: HTTP 400 with one sentence that says what would be right."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    def __setattr__(self, name: str, value: object) -> None:
        # MLflow's server would put the request's data before the message.
        if name != "message" or "message" not in self.__dict__:
            super().__setattr__(name, value)


class ServedModel(PythonModel):
    """A model folder of any kind."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model folder that was logged."""
        folder = Path(context.artifacts["model"])
        description = read_description(folder)
        self.column = "prompt"
        self.answer: Answer = self._complete
        if description.kind == "classifier":
            self.classifier, self.tokenizer = load_classifier(folder)
            self.column, self.answer = "text", self._classify
        elif FAMILIES[type(description.model)].objective == "masked_tokens":
            self.masked, self.tokenizer = load_language_model(folder)
            self.column, self.answer = "text", self._fill
        elif description.model.reads_source and description.prompt_format is None:
            self.generator: Generator = RestoringGenerator(*load_generative_model(folder))
        else:
            self.generator = Generator(*load_generative_model(folder), description.prompt_format)
        refuse_unknown_settings()

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pandas.DataFrame:
        """A row per text: ``label``, its ``probability`` and all ``probabilities``; a ``completion``; or the
        ``filled`` text and the ``candidates`` of each gap."""
        try:
            return self.answer(checked_texts(list(model_input[self.column]), self.column), dict(params or {}))
        except ValidationError as error:
            raise RefusedRequest(said_of(error)) from None
        except ValueError as error:
            raise RefusedRequest(str(error)) from None

    def _classify(self, texts: list[str], params: dict[str, Any]) -> pandas.DataFrame:
        labels = self.classifier.labels
        n_labels = checked_count(params["top_k"], least=0) or len(labels)
        probabilities = predict(self.classifier, self.tokenizer, texts)
        return pandas.DataFrame(
            {
                "label": [labels[index] for index in probabilities.argmax(axis=1)],
                "probability": probabilities.max(axis=1).tolist(),
                "probabilities": [
                    dict(sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])[:n_labels])
                    for row in probabilities.tolist()
                ],
            }
        )

    def _complete(self, prompts: list[str], params: dict[str, Any]) -> pandas.DataFrame:
        config = GenerationConfig(
            max_new_tokens=params["max_new_tokens"],
            stop_strings=tuple(params["stop"]),
            stop_token_ids=(),
            repetition_penalty=params["repetition_penalty"],
            decoding=SamplingConfig(
                method="sampling",
                temperature=params["temperature"],
                top_k=params["top_k"] or None,
                top_p=params["top_p"],
                min_p=params["min_p"] or None,
                seed=params["seed"],
            ),
        )
        completions = self.generator.complete(prompts, config)
        return pandas.DataFrame({"completion": [completion.text for completion in completions]})

    def _fill(self, texts: list[str], params: dict[str, Any]) -> pandas.DataFrame:
        n_candidates = checked_count(params["top_k"], least=1)
        return pandas.DataFrame([fill_gaps(self.masked, self.tokenizer, text, n_candidates) for text in texts])


class RestoringGenerator(Generator):
    """A pretrained encoder-decoder, which writes out a text in which gaps are marked."""

    def encode(self, prompt: str) -> list[int]:
        """The tokens of the text, and the mask token for each gap."""
        return encode_with_gaps(self.tokenizer, prompt)


def encode_with_gaps(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text; each ``[MASK]`` in it, with the space before it, is the mask token."""
    first, *others = text.split(GAP)
    tokens = tokenizer.encode(first.removesuffix(" ") if others else first)
    for number, part in enumerate(others, start=1):
        tokens.append(tokenizer.vocabulary.mask_id)
        tokens += tokenizer.encode(part.removesuffix(" ") if number < len(others) else part)
    return tokens


@torch.inference_mode()
def fill_gaps(model: Any, tokenizer: Tokenizer, text: str, n_candidates: int) -> dict[str, Any]:
    """The text with the likeliest token in each gap, and the candidates of each with their probabilities.

    Raises:
        ValueError: if there is no gap, or the text is longer than the model can read.
    """
    vocabulary = tokenizer.vocabulary
    tokens = torch.tensor([vocabulary.end_of_text_id, *encode_with_gaps(tokenizer, text)])
    gaps = (tokens == vocabulary.mask_id).nonzero().flatten()
    if not len(gaps):
        raise UserError(f"there is no mask in {text[:80]!r}: write {GAP} where a token is missing")
    logits = model(tokens.unsqueeze(0))[0, gaps]
    logits[:, [vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id]] = -torch.inf
    top = logits.softmax(dim=-1).topk(min(n_candidates, logits.size(-1)), dim=-1)
    tokens[gaps] = top.indices[:, 0]
    candidates = [
        {tokenizer.decode([token]): probability for token, probability in zip(indices, values, strict=True)}
        for indices, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    return {"filled": tokenizer.decode(tokens[1:].tolist()), "candidates": candidates}


def checked_texts(values: Sequence[Any], column: str) -> list[str]:
    """The texts of a request.

    Raises:
        ValueError: if one of them is none, or they are too many or too long.
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


def checked_count(top_k: int, *, least: int) -> int:
    """The setting ``top_k`` of a model that has no other.

    Raises:
        ValueError: if it is less than the least that makes sense.
    """
    if top_k < least:
        raise UserError(f"top_k is {top_k}: expected at least {least}")
    return top_k


def said_of(error: ValidationError) -> str:
    """What is wrong with the settings of a request, in one line."""
    return "; ".join(f"{item['loc'][-1]} is {item['input']!r}: {item['msg']}" for item in error.errors())


def refuse_unknown_settings() -> None:
    """Let a request with a misspelt setting fail: MLflow by itself drops it, with a warning only the server sees."""
    pyfunc: Any = importlib.import_module("mlflow.pyfunc")
    enforce = pyfunc._enforce_params_schema
    if hasattr(enforce, "lmcore_settings"):
        return

    def strict(params: dict[str, Any] | None, schema: Any) -> Any:
        known = {spec.name for spec in schema.params} if schema else set()
        is_ours = known == {"top_k"} or {"max_new_tokens", "repetition_penalty", "seed"} <= known
        if is_ours and isinstance(params, dict) and (unknown := sorted(map(str, set(params) - known))):
            raise RefusedRequest(f"unknown setting {', '.join(unknown)}: expected {', '.join(sorted(known))}")
        return enforce(params, schema)

    strict.lmcore_settings = True  # type: ignore[attr-defined]
    pyfunc._enforce_params_schema = strict


set_model(ServedModel())
