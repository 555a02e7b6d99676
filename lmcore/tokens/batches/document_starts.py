"""Batches for a tokenizer whose documents begin with a special token, such as ``<s>``."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from lmcore.tokens.batches.batches import Batch
from lmcore.tokens.tokenizer.vocabulary import Vocabulary


class DocumentStartBatches:
    """Batches in which the token before each document is the start token, as it is when a model scores or generates.

    In the corpus, a document follows the end token of the previous one. That token stays the target that ends the
    previous document, but where the model would read it, it reads the start token instead. Sequences keep their length.

    Args:
        batches: batches of tokens and next tokens.
        vocabulary: the tokenizer's vocabulary.
    """

    def __init__(self, batches: Any, vocabulary: Vocabulary) -> None:
        self.n_examples, self.batch_size = batches.n_examples, batches.batch_size
        self.batches_per_epoch = batches.batches_per_epoch
        self._batches, self._vocabulary = batches, vocabulary

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, a function of seed and step alone."""
        return self._started(self._batches.training_batch(step))

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the validation batches, in order."""
        return map(self._started, self._batches.validation_batches())

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """Describe, as JSON values, which tokens the first ``n_batches`` contain."""
        drawn: dict[str, Any] = self._batches.drawn(n_batches)
        return drawn

    def _started(self, batch: Batch) -> Batch:
        is_end = batch.tokens == self._vocabulary.end_of_text_id
        return replace(batch, tokens=torch.where(is_end, self._vocabulary.start_id, batch.tokens))
