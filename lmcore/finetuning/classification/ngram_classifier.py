"""A linear classifier on the n-grams of a text's tokens, which complements a network.

A network that was pretrained for minutes on little text misses rare words; a linear model weighs each of them
(Wang and Manning 2012, https://aclanthology.org/P12-2018). The two together predict better than either alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lmcore.config.classification import NgramClassifierConfig
from lmcore.finetuning.classification.hashed_ngrams import count_ngrams

Tokens = Sequence[int]


class NgramClassifier(nn.Module):
    """Linear support vector machines on weighted counts of n-grams; :meth:`fit` computes their weights.

    Args:
        config: the n-grams and the strength of the regularization.
        n_labels: the number of classes.
    """

    weight: Tensor
    bias: Tensor
    inverse_frequency: Tensor
    scale: Tensor

    def __init__(self, config: NgramClassifierConfig, n_labels: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("weight", torch.zeros(config.num_buckets, n_labels))
        self.register_buffer("bias", torch.zeros(n_labels))
        self.register_buffer("inverse_frequency", torch.ones(config.num_buckets))
        self.register_buffer("scale", torch.zeros(()))

    def fit(
        self,
        texts: Sequence[Tokens],
        presence: npt.NDArray[np.bool_],
        *,
        is_multi_label: bool,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        """Compute the weights; the scale stays 0, see :meth:`logits`.

        Args:
            texts: the tokens of each text.
            presence: which labels each text has, bool (n_texts, n_labels).
            is_multi_label: whether a text has any number of labels: each gets a machine of its own.
            class_weights: how much the presence of each label counts; None: 1 each.
        """
        counts = self._counts(texts)
        frequencies = np.bincount(counts.indices, minlength=self.config.num_buckets)
        inverse = np.where(frequencies == 0, 0.0, np.log((1 + len(texts)) / (1 + frequencies)) + 1)
        self.inverse_frequency.copy_(torch.from_numpy(inverse))
        features = self._weighted(counts)
        by_class = dict(enumerate(class_weights or [1.0] * presence.shape[1]))
        targets = list(presence.T) if is_multi_label else [presence.argmax(axis=1)]
        weights_of = [{1: weight} for weight in by_class.values()] if is_multi_label else [by_class]
        machines = [self._machine(features, *own) for own in zip(targets, weights_of, strict=True)]
        weights, biases = (np.concatenate(parts) for parts in zip(*machines, strict=True))
        if len(weights) < presence.shape[1]:  # with two classes, there is one machine, for the second class
            weights, biases = np.concatenate((-weights, weights)), np.concatenate((-biases, biases))
        self.weight.copy_(torch.from_numpy(weights.T))
        self.bias.copy_(torch.from_numpy(biases))

    def distances(self, texts: Sequence[Tokens]) -> npt.NDArray[np.float32]:
        """The signed distance of each text from the boundary of each class, float32 (n_texts, n_labels)."""
        features = self._weighted(self._counts(texts))
        distances = features @ self.weight.cpu().double().numpy() + self.bias.cpu().double().numpy()
        return np.asarray(distances, np.float32)

    def logits(self, texts: Sequence[Tokens]) -> npt.NDArray[np.float32]:
        """What is added to the network's logits: the distances times a scale, which calibration sets."""
        return self.distances(texts) * np.float32(self.scale.item())

    def _machine(
        self, features: Any, target: npt.NDArray[np.generic], class_weights: Mapping[int, float]
    ) -> tuple[Any, Any]:
        """The weights (n_boundaries, num_buckets) and biases (n_boundaries,) for one target (n_texts,)."""
        from sklearn.svm import LinearSVC

        if len(np.unique(target)) < 2:
            return np.zeros((1, self.config.num_buckets)), np.array([1.0 if target.any() else -1.0])
        weights = {value: class_weights.get(value, 1.0) for value in map(int, np.unique(target))}
        machine = LinearSVC(C=self.config.inverse_regularization, class_weight=weights, random_state=0)
        machine.fit(features, target.astype(np.int64))
        return machine.coef_, machine.intercept_

    def _counts(self, texts: Sequence[Tokens]) -> Any:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        codes = np.fromiter((token for text in texts for token in text), np.uint64, int(lengths.sum()))
        longest, num_buckets = self.config.longest, self.config.num_buckets
        return count_ngrams(codes, lengths, shortest=1, longest=longest, num_buckets=num_buckets)

    def _weighted(self, counts: Any) -> Any:
        """Rows of length 1 of the counts, on a logarithmic scale, times the inverse document frequencies; n-grams that
        no training text has are left out."""
        from sklearn.preprocessing import normalize

        counts.data = (1.0 + np.log(counts.data)) * self.inverse_frequency.cpu().double().numpy()[counts.indices]
        return normalize(counts, copy=False)
