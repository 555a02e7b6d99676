"""Pretrained models with their tokenizer, and what all of them can do: training, fine-tuning, saving."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

from lmcore.api.classifier import LabeledPair, TextClassifier, train_classifier
from lmcore.api.defaults import PATIENCE, adamw, finetuning_learning_rate, training_config
from lmcore.api.folders import model_target
from lmcore.api.training import train_on_texts
from lmcore.config.classification import ClassWeights
from lmcore.models.chat_template import export_template
from lmcore.models.device import pick_device
from lmcore.models.folder import save_language_model
from lmcore.models.huggingface.folder import export_model
from lmcore.models.model import Model
from lmcore.models.prompt import PromptFormat
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


class PretrainedModel:
    """A model and its tokenizer, which can be trained further, fine-tuned and saved.

    Args:
        model: the PyTorch model; it is moved to the GPU if there is one.
        tokenizer: the tokenizer that it was trained with.
        record: how it was trained, see ``record.json`` in its folder.
        prompt_format: how prompts are encoded for a completion model.
        chat_template: the Jinja template by which a chat model reads conversations.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        record: Any = None,
        prompt_format: PromptFormat | None = None,
        chat_template: str | None = None,
    ) -> None:
        self.model = model.to(pick_device()).eval()
        self.tokenizer = tokenizer
        self.record = {} if record is None else record
        self.prompt_format, self.chat_template = prompt_format, chat_template

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
        save_language_model(
            model_target(folder),
            self.model,
            self.tokenizer,
            self.record,
            prompt_format=self.prompt_format,
            chat_template=self.chat_template,
        )

    def save_huggingface(self, folder: str | Path) -> None:
        """Save a folder for Hugging Face ``transformers``; an existing model is replaced.

        A GPT with features that no architecture of ``transformers`` has is saved with its code: load it there with
        ``trust_remote_code=True``.

        Raises:
            UserError: if the folder holds anything else, or ``transformers`` has no architecture for it.
        """
        target = model_target(folder)
        export_model(self.model, self.tokenizer, target)
        if self.chat_template is not None:
            export_template(target, self.chat_template)


class MaskedLanguageModel(PretrainedModel):
    """A model that predicts masked tokens from both sides (BERT): a base for classifiers."""
