"""Train, use and evaluate language models in plain PyTorch.

    >>> import lmcore
    >>> model = lmcore.train(texts)
    >>> model.generate("Once upon a time")

Importing this package is cheap: PyTorch is imported when one of its names is first used.
"""

from typing import TYPE_CHECKING, Any

from lmcore.errors import UserError

if TYPE_CHECKING:
    from lmcore.api.classifier import TextClassifier
    from lmcore.api.language_model import LanguageModel
    from lmcore.api.loading import load, load_huggingface, train, train_classifier
    from lmcore.api.models import MaskedLanguageModel

__all__ = [
    "LanguageModel",
    "MaskedLanguageModel",
    "TextClassifier",
    "UserError",
    "load",
    "load_huggingface",
    "train",
    "train_classifier",
]

MODULES = {
    "LanguageModel": "language_model",
    "MaskedLanguageModel": "models",
    "TextClassifier": "classifier",
    "load": "loading",
    "load_huggingface": "loading",
    "train": "loading",
    "train_classifier": "loading",
}
"""The module of ``lmcore.api`` that defines each name."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"lmcore.api.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
