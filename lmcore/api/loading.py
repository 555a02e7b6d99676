"""New models from Python lists, and models from folders."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lmcore.api.classifier import LabeledPair, TextClassifier, checked_pairs
from lmcore.api.classifier import train_classifier as train_classifier_of
from lmcore.api.defaults import PATIENCE, adamw, gpt_config, muon, tokenizer_config, training_config
from lmcore.api.language_model import LanguageModel
from lmcore.api.models import MaskedLanguageModel
from lmcore.api.training import checked_texts, seeded, train_on_texts
from lmcore.config.classification import ClassWeights
from lmcore.errors import UserError
from lmcore.finetuning.adapter_folder import load_adapter
from lmcore.finetuning.classification.folder import load_classifier
from lmcore.models import quantization
from lmcore.models.chat_template import ChatTemplate, read_template
from lmcore.models.families import build_model
from lmcore.models.folder import load_chat_template, load_language_model, read_description, read_json
from lmcore.models.generative import GenerativeModel
from lmcore.models.gpt.model import GPT
from lmcore.models.gpt2.model import GPT2
from lmcore.models.huggingface.folder import import_model
from lmcore.models.model import Model
from lmcore.models.prompt import PromptFormat
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer


def train(
    texts: Sequence[str],
    *,
    max_steps: int = 500,
    batch_size: int = 16,
    hidden_size: int = 128,
    num_hidden_layers: int = 4,
    max_position_embeddings: int = 128,
    vocabulary_size: int | None = None,
    family: Literal["gpt", "gpt2"] = "gpt",
    seed: int = 0,
) -> LanguageModel:
    """Train a small GPT, and a tokenizer for it, on texts.

    A tenth of the text is held out for validation; the model gets the weights with the lowest validation loss.

    Args:
        texts: any number of strings; the model learns where a text ends.
        max_steps: training steps at most; three validations without improvement (of ten) end the training early.
        batch_size: sequences per step.
        hidden_size: the size of the model's vectors, an even number.
        num_hidden_layers: the number of Transformer blocks.
        max_position_embeddings: the context, in tokens.
        vocabulary_size: tokens of the byte-pair tokenizer, at least 259; by default one per 200 characters of text,
            between 512 and 8192.
        family: ``gpt``, or ``gpt2``, which learns more slowly and can be exported to Hugging Face.
        seed: decides the initial weights and the order of the data; the same seed gives the same model.

    Raises:
        UserError: if there is too little text, or an argument has a value that is not allowed.
    """
    config = training_config(max_steps, batch_size, muon(), early_stopping_patience=PATIENCE)
    model_config = gpt_config(family, hidden_size, num_hidden_layers, max_position_embeddings)
    texts = checked_texts(texts)
    tokenizer = train_tokenizer(texts, tokenizer_config(texts, vocabulary_size))
    model = _new_model(model_config, tokenizer, seed)
    record = train_on_texts(model, tokenizer, texts, config, seed)
    return LanguageModel(model, tokenizer, record)


def train_classifier(
    pairs: Sequence[LabeledPair],
    *,
    max_steps: int = 300,
    batch_size: int = 16,
    hidden_size: int = 64,
    num_hidden_layers: int = 2,
    max_tokens: int = 128,
    class_weights: ClassWeights | None = None,
    seed: int = 0,
) -> TextClassifier:
    """Train a small classifier, and a tokenizer for it, on ``(text, label)`` pairs.

    A tenth of them is held out for validation. A classifier with a pretrained base is better: see
    :meth:`lmcore.LanguageModel.train_classifier`.

    Args:
        pairs: ``(text, label)`` pairs with at least two different labels; or ``(text, labels)`` pairs, where a text
            has any number of labels.
        max_steps: the number of training steps.
        batch_size: texts per step.
        hidden_size: the size of the model's vectors, an even number.
        num_hidden_layers: the number of Transformer blocks.
        max_tokens: how many tokens of a text are read.
        class_weights: ``"balanced"`` if rare labels are to count as much as frequent ones, or weights by label.
        seed: decides the initial weights and the order of the data; the same seed gives the same classifier.

    Raises:
        UserError: if the pairs are not as described, or an argument has a value that is not allowed.
    """
    config = training_config(max_steps, batch_size, adamw(1e-3))
    model_config = gpt_config("gpt", hidden_size, num_hidden_layers, max_tokens)
    texts = [text for text, _ in checked_pairs(pairs)]
    tokenizer = train_tokenizer(texts, tokenizer_config(texts, None))
    model = _new_model(model_config, tokenizer, seed)
    return train_classifier_of(
        model, tokenizer, pairs, config, max_tokens=max_tokens, class_weights=class_weights, seed=seed
    )


def load(
    folder: str | Path, *, adapter: str | Path | None = None, load_in_8bit: bool = False
) -> LanguageModel | MaskedLanguageModel | TextClassifier:
    """The model in a model folder, which its ``save`` method or the pipeline wrote.

    Args:
        folder: the model folder.
        adapter: a folder of low-rank adapters that were trained on this model, to merge into it.
        load_in_8bit: generate and score with 8-bit weights, which is faster and a little less exact (families gpt and
            gpt2).

    Raises:
        UserError: if it is not a model folder, one of its files is missing or was altered, the adapters belong to
            another model, or the model has no 8-bit weights.
    """
    folder = Path(folder)
    with missing_files_as_user_errors():
        description = read_description(folder)
        record = read_json(folder / "record.json")
        if description.kind == "classifier":
            if adapter is not None:
                raise UserError(f"{folder} holds a classifier; adapters cannot be loaded with a classifier")
            if load_in_8bit:
                raise UserError(f"{folder} holds a classifier, which has no 8-bit weights: leave out load_in_8bit")
            return TextClassifier(*load_classifier(folder), record)
        model, tokenizer = load_language_model(folder)
        template = load_chat_template(folder, tokenizer)
        prompt_format = description.prompt_format
        if adapter is not None:
            adapters = load_adapter(Path(adapter), model)
            prompt_format = adapters.prompt_format
            template = template if adapters.chat_template is None else ChatTemplate(adapters.chat_template, tokenizer)
    if load_in_8bit:
        quantization.load_in_8bit(model)
    return _pretrained(model, tokenizer, record, prompt_format, None if template is None else template.source)


def load_huggingface(folder: str | Path) -> LanguageModel | MaskedLanguageModel:
    """The model in a folder of Hugging Face ``transformers`` (safetensors, with ``tokenizer.json``).

    It may be a GPT-2, BERT, Llama, Mistral, Qwen2, Qwen3 or T5, or a folder that ``save_huggingface`` has written.

    Raises:
        UserError: if it is not such a folder, a file is missing, or its files do not match.
    """
    with missing_files_as_user_errors():
        model, tokenizer = import_model(Path(folder))
        return _pretrained(model, tokenizer, chat_template=read_template(Path(folder)))


@contextmanager
def missing_files_as_user_errors() -> Iterator[None]:
    """Raise a missing file as a :class:`UserError` with the same message."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(str(error)) from None


def _pretrained(
    model: Model,
    tokenizer: Tokenizer,
    record: Any = None,
    prompt_format: PromptFormat | None = None,
    chat_template: str | None = None,
) -> LanguageModel | MaskedLanguageModel:
    if isinstance(model, GenerativeModel):
        return LanguageModel(model, tokenizer, record, prompt_format, chat_template)
    return MaskedLanguageModel(model, tokenizer, record)


def _new_model(config: Any, tokenizer: Tokenizer, seed: int) -> GPT | GPT2:
    with seeded(seed):
        model = build_model(config, tokenizer.vocabulary)
    assert isinstance(model, GPT | GPT2)
    return model
