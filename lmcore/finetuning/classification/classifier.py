"""A text classifier: a linear head on the mean and the maximum of a backbone's features over the text."""

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
        backbone: the model to start from; its weights are trained too.
        labels: the name of each class, in the order of the logits.
        max_tokens: number of tokens that are read, from the beginning of a text.
        dropout: dropout probability of the features that the head reads.
    """

    def __init__(self, backbone: TextEncoder, labels: Sequence[str], *, max_tokens: int, dropout: float = 0.0) -> None:
        super().__init__(backbone.config, backbone.vocabulary)
        self.backbone = backbone
        self.labels = tuple(labels)
        self.max_tokens = max_tokens
        self.dropout = nn.Dropout(dropout)
        self.head = BiasFreeLinear(2 * backbone.feature_size, len(labels), zero_init=True)

    def extra_repr(self) -> str:
        """Classes and maximum length, for ``print(model)``."""
        return f"labels={self.labels}, max_tokens={self.max_tokens}"

    def flops_per_token(self) -> float:
        """Those of the blocks; the head is applied once per text, and its operations are negligible."""
        return self.backbone.feature_flops_per_token(self.max_tokens)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Set the dtype of the backbone's activations."""
        self.backbone.compute_in(dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32 (batch, classes), for int64 tokens (batch, length)."""
        is_text = tokens != self.vocabulary.padding_id
        hidden = self.backbone.features(tokens, is_text).float()
        is_text = is_text.unsqueeze(-1)
        mean = (hidden * is_text).sum(dim=1) / is_text.sum(dim=1)
        # The mean hides a single telling word in a long text; the maximum does not.
        maximum = hidden.masked_fill(~is_text, -math.inf).amax(dim=1)
        logits: Tensor = self.head(self.dropout(torch.cat((mean, maximum), dim=1)))
        return logits

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed cross-entropy in nats, given the int64 class indices (batch,).

        Raises:
            UserError: there are ``document_ids``: each sequence is one text with one class.
        """
        if document_ids is not None:
            raise UserError("a classifier reads one text per sequence, not packed documents: leave document_ids out")
        return F.cross_entropy(self(tokens), targets, reduction="sum", label_smoothing=label_smoothing)


def save_classifier(folder: Path, classifier: Classifier, tokenizer: Tokenizer, record: Any) -> None:
    """Save a classifier as ``folder``, which is replaced."""
    description = ModelDescription(
        kind="classifier",
        model=classifier.backbone.config,
        labels=classifier.labels,
        max_tokens=classifier.max_tokens,
        prompt_format=None,
    )
    save_folder(folder, description, classifier, tokenizer, record)


def load_classifier(folder: Path) -> tuple[Classifier, Tokenizer]:
    """The classifier in ``folder``, in evaluation mode on the CPU.

    Raises:
        FileNotFoundError: if a file is missing.
        UserError: if the folder holds something else, the weights do not match the description, or a file is
            corrupt.
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
    """Class probabilities of texts, float32 (n_texts, n_classes); they do not depend on the batches."""
    classifier.eval()
    encoded = [encode_for_classifier(tokenizer, text, classifier.max_tokens) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    probabilities = np.zeros((len(texts), len(classifier.labels)), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        longest = max(len(encoded[index]) for index in batch)
        tokens = torch.full((len(batch), longest), tokenizer.vocabulary.padding_id)
        for row, index in enumerate(batch):
            tokens[row, : len(encoded[index])] = torch.tensor(encoded[index])
        probabilities[batch] = classifier(tokens.to(classifier.device)).softmax(dim=-1).cpu().numpy()
    return probabilities


def encode_for_classifier(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[int]:
    """The token that starts every document, followed by the text's first tokens, ``max_tokens`` in total."""
    return [tokenizer.vocabulary.start_id, *tokenizer.encode(text)[: max_tokens - 1]]
