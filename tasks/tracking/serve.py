"""A logged model as MLflow loads and serves it: texts in, completions or labels out.

MLflow copies this file into the model and runs it there, beside a copy of ``lmcore``: it may import nothing else of
this project. Ask a loaded model with ``model.predict(pandas.DataFrame({"prompt": [...]}), params={"max_tokens": 50})``
(a classifier with the column ``text``), or a served one with a request as in the model's input example.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from lmcore.generation import GenerationConfig, generate
from lmcore.models.classifier import load_classifier, predict
from lmcore.models.folder import load_causal_model, read_description
from lmcore.models.prompt import encode_prompt


class ServedModel(PythonModel):
    """A model folder of any kind."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model folder that was logged."""
        folder = Path(context.artifacts["model"])
        self.description = read_description(folder)
        if self.description.kind == "classifier":
            self.classifier, self.tokenizer = load_classifier(folder)
        else:
            self.model, self.tokenizer = load_causal_model(folder)

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pandas.DataFrame:
        """A row per text: ``label``, its ``probability`` and all ``probabilities``; or a ``completion``."""
        if self.description.kind == "classifier":
            return self._classify(list(model_input["text"]))
        return self._complete(list(model_input["prompt"]), dict(params or {}))

    def _classify(self, texts: list[str]) -> pandas.DataFrame:
        probabilities = predict(self.classifier, self.tokenizer, texts)
        labels = self.classifier.labels
        return pandas.DataFrame(
            {
                "label": [labels[index] for index in probabilities.argmax(axis=1)],
                "probability": probabilities.max(axis=1).tolist(),
                "probabilities": [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()],
            }
        )

    def _complete(self, prompts: list[str], params: dict[str, Any]) -> pandas.DataFrame:
        config = GenerationConfig(
            max_tokens=params["max_tokens"],
            temperature=params["temperature"],
            top_k=params["top_k"] or None,
            top_p=params["top_p"],
            seed=params["seed"],
        )
        tokens = [self._encode(prompt) for prompt in prompts]
        completions = generate(self.model, tokens, config)
        return pandas.DataFrame({"completion": [self.tokenizer.decode(completion) for completion in completions]})

    def _encode(self, prompt: str) -> list[int]:
        if self.description.prompt_format:
            return encode_prompt(self.tokenizer, prompt, self.description.prompt_format)
        # Every document of the training came after an end token.
        return [self.tokenizer.vocabulary.end_of_text_id, *self.tokenizer.encode(prompt)]


set_model(ServedModel())
