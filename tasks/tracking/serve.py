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

from lmcore.generation import GenerationConfig, Generator, SamplingConfig
from lmcore.models.classifier import load_classifier, predict
from lmcore.models.folder import load_writing_model, read_description


class ServedModel(PythonModel):
    """A model folder of any kind."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model folder that was logged."""
        folder = Path(context.artifacts["model"])
        self.description = read_description(folder)
        if self.description.kind == "classifier":
            self.classifier, self.tokenizer = load_classifier(folder)
        else:
            self.generator = Generator(*load_writing_model(folder), self.description.prompt_format)

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
            stop=tuple(params["stop"]),
            stop_tokens=(),
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


set_model(ServedModel())
