"""Language models with their tokenizer: from text to text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

from lmcore.api.classifier import LabeledPair, TextClassifier, train_classifier
from lmcore.api.defaults import PATIENCE, adamw, finetuning_learning_rate, generation_config, training_config
from lmcore.api.folders import model_target
from lmcore.api.training import checked_text, train_on_texts
from lmcore.config.classification import ClassWeights
from lmcore.config.generation import GenerationConfig
from lmcore.errors import UserError
from lmcore.generation.generator import Generator
from lmcore.generation.surprisal import TextScore
from lmcore.models.device import pick_device
from lmcore.models.folder import save_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.models.huggingface.folder import export_model
from lmcore.models.model import Model
from lmcore.models.prompt import Prompt, PromptFormat
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


class PretrainedModel:
    """A model and its tokenizer, which can be trained further, fine-tuned and saved.

    Args:
        model: the PyTorch model; it is moved to the GPU if there is one.
        tokenizer: the tokenizer that it was trained with.
        record: how it was trained, see ``record.json`` in its folder.
    """

    def __init__(self, model: Model, tokenizer: Tokenizer, record: Any = None) -> None:
        self.model = model.to(pick_device()).eval()
        self.tokenizer = tokenizer
        self.record = {} if record is None else record

    def __repr__(self) -> str:
        n_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return f"{type(self).__name__}({self.model.config.family}, {n_parameters:,} parameters)"

    def train(
        self,
        texts: Sequence[str],
        *,
        max_steps: int = 200,
        batch_size: int = 8,
        learning_rate: float | None = None,
        seed: int = 0,
    ) -> Self:
        """Train further on texts, in place, with AdamW.

        A tenth of the text is held out for validation; the model gets the weights with the lowest validation loss.

        Args:
            texts: any number of strings.
            max_steps: training steps at most; three validations without improvement (of ten) end the training early.
            batch_size: sequences per step.
            learning_rate: the peak; by default 5e-5 for models with a hidden size of 512 or more, else 1e-3.
            seed: decides the order of the data and dropout.

        Returns:
            this model.

        Raises:
            UserError: if there is too little text, or the model is not trained by gradient descent.
        """
        rate = finetuning_learning_rate(getattr(self.model.config, "hidden_size", 0), learning_rate)
        config = training_config(max_steps, batch_size, adamw(rate), early_stopping_patience=PATIENCE)
        self.record = train_on_texts(self.model, self.tokenizer, texts, config, seed)
        self.model.eval()
        return self

    def train_classifier(
        self,
        pairs: Sequence[LabeledPair],
        *,
        max_steps: int = 200,
        batch_size: int = 16,
        learning_rate: float | None = None,
        max_tokens: int = 128,
        class_weights: ClassWeights | None = None,
        seed: int = 0,
    ) -> TextClassifier:
        """Fine-tune a copy of this model to classify texts; this model stays as it is.

        Args:
            pairs: ``(text, label)`` pairs with at least two different labels; or ``(text, labels)`` pairs, where a text
            has any number of labels.
            max_steps: the number of training steps.
            batch_size: texts per step.
            learning_rate: the peak; by default 5e-5 for models with a hidden size of 512 or more, else 1e-3.
            max_tokens: how many tokens of a text are read.
            class_weights: ``"balanced"`` if rare labels are to count as much as frequent ones, or weights by label.
            seed: decides the order of the data and dropout.

        Raises:
            UserError: if the pairs are not as described, or the model cannot be a classifier's base.
        """
        rate = finetuning_learning_rate(getattr(self.model.config, "hidden_size", 0), learning_rate)
        config = training_config(max_steps, batch_size, adamw(rate))
        return train_classifier(
            deepcopy(self.model),
            self.tokenizer,
            pairs,
            config,
            max_tokens=max_tokens,
            class_weights=class_weights,
            seed=seed,
        )

    def save(self, folder: str | Path) -> None:
        """Save a model folder, which :func:`lmcore.load` loads; an existing model is replaced.

        Raises:
            UserError: if the folder holds anything else.
        """
        save_language_model(model_target(folder), self.model, self.tokenizer, self.record)

    def save_huggingface(self, folder: str | Path) -> None:
        """Save a folder for Hugging Face ``transformers``; an existing model is replaced.

        A GPT that computes what no architecture of ``transformers`` does comes with its code: load it there with
        ``trust_remote_code=True``.

        Raises:
            UserError: if the folder holds anything else, or ``transformers`` has no such model.
        """
        export_model(self.model, self.tokenizer, model_target(folder))


class MaskedLanguageModel(PretrainedModel):
    """A model that predicts masked tokens from both sides (BERT): a base for classifiers."""


class LanguageModel(PretrainedModel):
    """A model that continues texts.

    Args:
        model: the PyTorch model; it is moved to the GPU if there is one.
        tokenizer: the tokenizer that it was trained with.
        record: how it was trained, see ``record.json`` in its folder.
        prompt_format: how prompts are encoded for a completion model.
    """

    def __init__(
        self,
        model: GenerativeModel,
        tokenizer: Tokenizer,
        record: Any = None,
        prompt_format: PromptFormat | None = None,
    ) -> None:
        super().__init__(model, tokenizer, record)
        self._generator = Generator(model, tokenizer, prompt_format)

    def generate(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.8,
        top_k: int | None = 50,
        top_p: float | None = None,
        num_beams: int = 1,
        seed: int = 0,
    ) -> str:
        """The text that follows ``prompt``.

        Args:
            prompt: the beginning of a text; it may be empty. For a completion model whose prompt has several fields,
                the value of each by its name.
            max_new_tokens: the longest answer; by default 100 tokens, or half the context if that is less.
            temperature: 0 always takes the most probable token; higher values are more varied.
            top_k: sample only from the k most probable tokens; None from all.
            top_p: sample only from the most probable tokens that together have this probability; None from all.
            num_beams: with more than 1, beam search instead of sampling.
            seed: the same seed gives the same text.

        Raises:
            UserError: naming an argument whose value is not allowed.
        """
        config = self._generation_config(max_new_tokens, temperature, top_k, top_p, num_beams, seed)
        (completion,) = self._generator.complete([_checked_prompt(prompt)], config)
        return completion.text or ""

    def stream(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.8,
        top_k: int | None = 50,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Yield the text that :meth:`generate` returns for the same arguments, part by part as it is generated."""
        config = self._generation_config(max_new_tokens, temperature, top_k, top_p, 1, seed)
        return self._generator.stream(_checked_prompt(prompt), config)

    def score(self, text: str) -> TextScore:
        """The tokens of ``text`` and the log-probability of each; errors as for :meth:`perplexity`."""
        if not checked_text(text, "text"):
            raise UserError("the text is empty: there is nothing to score")
        return self._generator.score(text)

    def perplexity(self, text: str) -> float:
        """The perplexity per token of ``text``: lower means that the model finds it more probable.

        It depends on the tokenizer: compare models with different tokenizers by :meth:`bits_per_byte`.

        Raises:
            UserError: if the text is empty, or the model does not score texts.
        """
        return self.score(text).perplexity

    def bits_per_byte(self, text: str) -> float:
        """The information in ``text`` for this model, in bits per byte of UTF-8; errors as for :meth:`perplexity`."""
        return -sum(self.score(text).logprobs) / math.log(2) / len(text.encode())

    def _generation_config(
        self,
        max_new_tokens: int | None,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        num_beams: int,
        seed: int,
    ) -> GenerationConfig:
        return generation_config(
            max_new_tokens=max_new_tokens,
            context=self._generator.model.max_position_embeddings,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            num_beams=num_beams,
            seed=seed,
        )


def _checked_prompt(prompt: Prompt) -> Prompt:
    """The prompt itself.

    Raises:
        UserError: if it is neither a string nor strings by name.
    """
    if not isinstance(prompt, Mapping):
        return checked_text(prompt, "prompt")
    return {str(name): checked_text(value, f"prompt[{name!r}]") for name, value in prompt.items()}
