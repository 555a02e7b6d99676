"""A text classifier: a linear head on a backbone's features, pooled over the text."""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.base import TruncationSide
from lmcore.config.classification import Pooling, ProblemType
from lmcore.errors import UserError
from lmcore.finetuning.classification.ngram_classifier import NgramClassifier
from lmcore.models.layers.dropout import Dropout
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.trainable import TextEncoder, TrainableModel


class Classifier(TrainableModel):
    """Class logits for token sequences padded on the right.

    Args:
        backbone: the model to start from; its weights are trained too.
        labels: the name of each class, in the order of the logits.
        max_tokens: number of tokens that are read.
        truncation_side: which tokens of a longer text are left out: ``right`` reads its beginning, ``left`` its end.
        pooling: whether the head reads the mean and the maximum of the features of all tokens, or the features of the
            last token, which best predict how a text continues.
        problem_type: whether a text has one label or any number of them.
        temperature: divides the logits before they become probabilities
            (:mod:`lmcore.finetuning.classification.calibration`).
        bias: added to the divided logits, if a text may have any number of labels.
        dropout: dropout probability of the features that the head reads.
        class_weights: the weight of each class in the loss; None: 1 each.
        ngram_classifier: a linear classifier whose logits :func:`predict_logits` adds; it is not part of the loss.
        others: backbones of further classifiers, of the same shape and with other weights, which make an ensemble with
            this one: each is trained by its own loss, and their logits are averaged (Lakshminarayanan et al. 2017,
            https://arxiv.org/abs/1612.01474). Every second one reads texts backwards.
        reads_backwards: whether the backbone gets the tokens of a text in reverse order. The features that the head
            reads do not depend on the order, so that a forward and a backward LSTM are a bidirectional one.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        backbone: TextEncoder,
        labels: Sequence[str],
        *,
        max_tokens: int,
        truncation_side: TruncationSide = "right",
        pooling: Pooling = "mean_max",
        problem_type: ProblemType = "single_label_classification",
        temperature: float = 1.0,
        bias: float = 0.0,
        dropout: float = 0.0,
        class_weights: Sequence[float] | None = None,
        ngram_classifier: NgramClassifier | None = None,
        others: Sequence[TextEncoder] = (),
        reads_backwards: bool = False,
    ) -> None:
        super().__init__(backbone.config, backbone.vocabulary)
        self.backbone = backbone
        self.labels = tuple(labels)
        self.max_tokens = max_tokens
        self.truncation_side = truncation_side
        self.pooling = pooling
        self.problem_type = problem_type
        self.temperature = temperature
        self.bias = bias
        self.dropout = Dropout(dropout)
        n_features = backbone.feature_size * (2 if pooling == "mean_max" else 1)
        self.head = BiasFreeLinear(n_features, len(labels), zero_init=True)
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.ngram_classifier = ngram_classifier
        self.others = nn.ModuleList(
            Classifier(
                other,
                labels,
                max_tokens=max_tokens,
                truncation_side=truncation_side,
                pooling=pooling,
                problem_type=problem_type,
                dropout=dropout,
                reads_backwards=number % 2 == 1,
            )
            for number, other in enumerate(others, start=1)
        )
        self.reads_backwards = reads_backwards

    @property
    def members(self) -> tuple["Classifier", ...]:
        """The classifiers whose logits are averaged: this one alone, or an ensemble."""
        return self, *(cast("Classifier", other) for other in self.others)

    @property
    def is_multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.problem_type == "multi_label_classification"

    @property
    def display_name(self) -> str:
        """The architecture in words: ``GPT``, or ``GPT and n-grams``."""
        return f"{self.config.display_name}{'' if self.ngram_classifier is None else ' and n-grams'}"

    def extra_repr(self) -> str:
        """Classes and maximum length, for ``print(model)``."""
        return f"labels={self.labels}, max_tokens={self.max_tokens}, problem_type={self.problem_type}"

    def flops_per_token(self) -> float:
        """The operations of the blocks; the head is applied once per text, and its operations are negligible."""
        return len(self.members) * self.backbone.feature_flops_per_token(self.max_tokens)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Set the dtype of the backbones' activations."""
        for member in self.members:
            member.backbone.compute_in(dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32 (batch, classes), for int64 tokens (batch, length)."""
        return self._member_logits(tokens).mean(dim=0)

    def _member_logits(self, tokens: Tensor) -> Tensor:
        """The logits of each member, (members, batch, classes)."""
        return torch.stack([member._own_logits(tokens) for member in self.members])

    def _own_logits(self, tokens: Tensor) -> Tensor:
        if self.reads_backwards:
            tokens = _reversed(tokens, self.vocabulary.padding_id)
        is_text = tokens != self.vocabulary.padding_id
        hidden = self.backbone.features(tokens, is_text).float()
        pooled = _mean_and_maximum(hidden, is_text) if self.pooling == "mean_max" else _last(hidden, is_text)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """Summed cross-entropy in nats, weighted by class; in training the mean of that of each member.

        Args:
            tokens: int64 (batch, length).
            targets: int64 class indices (batch,); with any number of labels, 1 for each label that a text has and 0
                for the others (batch, classes or more), where the cross-entropy is binary and summed over the classes.
            label_smoothing: the fraction of each target's probability that is spread evenly: over the classes, or over
                presence and absence of a label.
            document_ids: None, since each sequence is one text.

        Raises:
            UserError: there are ``document_ids``.
        """
        if document_ids is not None:
            raise UserError("a classifier reads one text per sequence, not packed documents: leave document_ids out")
        if not self.training:
            return self._cross_entropy(self(tokens), targets, label_smoothing)
        losses = [self._cross_entropy(logits, targets, label_smoothing) for logits in self._member_logits(tokens)]
        return torch.stack(losses).mean()

    def _cross_entropy(self, logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
        if not self.is_multi_label:
            return F.cross_entropy(
                logits, targets, weight=self.class_weights, reduction="sum", label_smoothing=label_smoothing
            )
        presence = targets[:, : len(self.labels)].to(logits.dtype) * (1.0 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, presence, reduction="sum", pos_weight=self.class_weights)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of logits (..., classes): they sum to 1, or each label has an independent one."""
        scaled = logits / self.temperature + self.bias
        return scaled.sigmoid() if self.is_multi_label else scaled.softmax(dim=-1)


def _reversed(tokens: Tensor, padding: int) -> Tensor:
    """Token sequences (batch, length), each with its tokens in reverse order before the padding on its right."""
    lengths = (tokens != padding).sum(dim=1, keepdim=True)
    positions = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
    return tokens.gather(1, torch.where(positions < lengths, lengths - 1 - positions, positions))


def _mean_and_maximum(hidden: Tensor, is_text: Tensor) -> Tensor:
    """Float32 (batch, 2 * width) from features (batch, length, width) and bool (batch, length)."""
    is_text = is_text.unsqueeze(-1)
    mean = (hidden * is_text).sum(dim=1) / is_text.sum(dim=1)
    # The mean hides a single decisive word in a long text; the maximum does not.
    return torch.cat((mean, hidden.masked_fill(~is_text, -math.inf).amax(dim=1)), dim=1)


def _last(hidden: Tensor, is_text: Tensor) -> Tensor:
    """The features of each text's last token, float32 (batch, width), where padding follows the text."""
    last = is_text.sum(dim=1) - 1
    return hidden[torch.arange(len(hidden), device=hidden.device), last]
