"""A classifier of texts: an encoder's last layer, its mean and its maximum over the text, under a linear head."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.errors import UserError
from lmcore.models.families import build_model
from lmcore.models.folder import TOKENIZER, WEIGHTS, ModelDescription, read_description, save_folder
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.trainable import TextEncoder, TrainableModel
from lmcore.models.verification import load_weights, verify
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


class Classifier(TrainableModel):
    """Class logits for token sequences padded on the right.

    Args:
        backbone: the model to start from; it is trained along.
        labels: name of each class, in the order of the logits.
        max_tokens: a text's first tokens, which are read.
        dropout: of the features that the head sees.
    """

    def __init__(self, backbone: TextEncoder, labels: Sequence[str], *, max_tokens: int, dropout: float = 0.0) -> None:
        super().__init__(backbone.config, backbone.vocabulary)
        self.backbone = backbone
        self.labels = tuple(labels)
        self.max_tokens = max_tokens
        self.dropout = nn.Dropout(dropout)
        self.head = BiasFreeLinear(2 * backbone.feature_size, len(labels), zero_init=True)

    def extra_repr(self) -> str:
        """The classes and how much of a text is read, for ``print(model)``."""
        return f"labels={self.labels}, max_tokens={self.max_tokens}"

    def flops_per_token(self) -> float:
        """Those of the blocks; the head, once a text, is nothing beside them."""
        return self.backbone.feature_flops_per_token(self.max_tokens)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute the backbone's activations in this dtype from now on."""
        self.backbone.compute_in(dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32 (batch, classes), for int64 tokens (batch, length)."""
        is_text = tokens != self.vocabulary.padding_id
        hidden = self.backbone.features(tokens, is_text).float()
        is_text = is_text.unsqueeze(-1)
        mean = (hidden * is_text).sum(dim=1) / is_text.sum(dim=1)
        # One telling word in a long text: the mean drowns it, the maximum does not.
        maximum = hidden.masked_fill(~is_text, -math.inf).amax(dim=1)
        logits: Tensor = self.head(self.dropout(torch.cat((mean, maximum), dim=1)))
        return logits

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed cross-entropy in nats of int64 classes (batch,)."""
        return F.cross_entropy(self(tokens), targets, reduction="sum", label_smoothing=label_smoothing)


def save_classifier(folder: Path, classifier: Classifier, tokenizer: Tokenizer, record: Any) -> None:
    """Replace ``folder`` by a classifier."""
    description = ModelDescription(
        kind="classifier",
        model=classifier.backbone.config,
        labels=classifier.labels,
        max_tokens=classifier.max_tokens,
        prompt_format=None,
    )
    save_folder(folder, description, classifier, tokenizer, record)


def load_classifier(folder: Path) -> tuple[Classifier, Tokenizer]:
    """The classifier in ``folder``, in evaluation mode on the processor.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the folder holds something else, weights that do not fit the description, or a file that is
            not as it was written.
    """
    description = read_description(folder)
    if description.labels is None or description.max_tokens is None:
        raise UserError(f"{folder} holds a {description.kind.replace('_', ' ')}, not a classifier")
    labels, max_tokens = description.labels, description.max_tokens
    verify(folder, TOKENIZER, WEIGHTS)
    tokenizer = Tokenizer.load(folder / TOKENIZER)

    def make() -> Classifier:
        backbone = build_model(description.model, tokenizer.vocabulary)
        if not isinstance(backbone, TextEncoder):
            raise UserError(f"{folder} holds a classifier of family {description.model.family}, which cannot classify")
        return Classifier(backbone, labels, max_tokens=max_tokens)

    return load_weights(make, description.model, folder / WEIGHTS), tokenizer


@torch.inference_mode()
def predict(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Class probabilities, float32 (texts, classes); each text is read alone, whatever it is batched with."""
    classifier.eval()
    encoded = [encode_for_classifier(tokenizer, text, classifier.max_tokens) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    probabilities = np.zeros((len(texts), len(classifier.labels)), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        longest = max(len(encoded[row]) for row in rows)
        tokens = torch.full((len(rows), longest), tokenizer.vocabulary.padding_id)
        for place, row in enumerate(rows):
            tokens[place, : len(encoded[row])] = torch.tensor(encoded[row])
        probabilities[rows] = classifier(tokens.to(classifier.device)).softmax(dim=-1).cpu().numpy()
    return probabilities


def encode_for_classifier(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[int]:
    """The end token, as before every document, and the text's first tokens: ``max_tokens`` in all."""
    return [tokenizer.vocabulary.end_of_text_id, *tokenizer.encode(text)[: max_tokens - 1]]
