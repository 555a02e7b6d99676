"""Span corruption: replaces spans of text by mask tokens, so that a model learns to restore the text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lmcore.config.families import CorruptionConfig
from lmcore.errors import UserError
from lmcore.tokens.batches.batches import LENGTH_MULTIPLE, TRAINING, VALIDATION, Batch, WindowBatches
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

Tokens = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


def masked_spans(length: int, config: CorruptionConfig, generator: np.random.Generator) -> Flags:
    """Choose which tokens of a text are masked, bool (length,).

    The configured ratio of tokens is masked, rounded, but at least one token, and not all. The number of spans follows
    from the mean span length. Span lengths, and the gaps of at least one token between spans, are drawn uniformly from
    all ways to divide the tokens (Raffel et al. 2020).

    Args:
        length: number of tokens.
        config: the ratio of masked tokens and the mean span length.
        generator: source of the random numbers.

    Raises:
        UserError: if there are fewer than two tokens.
    """
    if length < 2:
        raise UserError(f"{length} tokens are too few to mask spans: at least 2 are needed")
    n_masked = min(max(1, round(config.noise_density * length)), length - 1)
    n_visible = length - n_masked
    n_spans = min(max(1, round(n_masked / config.mean_noise_span_length)), n_masked, n_visible + 1)
    spans = _divide(n_masked, n_spans, generator)
    # The gaps before the first and after the last span may be empty: these two are drawn one too long.
    gaps = _divide(n_visible + 2, n_spans + 1, generator)
    gaps[[0, -1]] -= 1
    lengths = np.empty(2 * n_spans + 1, dtype=np.int64)
    lengths[0::2], lengths[1::2] = gaps, spans
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def corrupt(tokens: Tokens, is_masked: Flags, vocabulary: Vocabulary) -> Tokens:
    """Replace each masked span by one mask token.

    Args:
        tokens: (length,).
        is_masked: bool (length,). End-of-text tokens are never masked, and end a span.
        vocabulary: the tokenizer's vocabulary.

    Returns:
        The corrupted tokens (at most length,).
    """
    is_masked = is_masked & (tokens != vocabulary.end_of_text_id)
    continues_span = is_masked & np.concatenate(([False], is_masked[:-1]))
    return np.where(is_masked, vocabulary.mask_id, tokens)[~continues_span]


class CorruptedBatches:
    """Windows of text as targets, and the same text with masked spans as sources.

    The target is the whole text, not only the masked spans (Lewis et al. 2020, BART): spans need no sentinel tokens,
    and the decoder becomes a language model of ordinary text. Every epoch masks other spans; those of a validation
    window are always the same, whatever the seed.

    Args:
        windows: the windows of text; if they have documents, the batches have those of sources and targets.
        vocabulary: the tokenizer's vocabulary.
        config: the ratio of masked tokens and the mean span length.
        seed: with the step, it determines the masked spans.
    """

    def __init__(self, windows: WindowBatches, vocabulary: Vocabulary, config: CorruptionConfig, *, seed: int) -> None:
        self.n_examples, self.batch_size = windows.n_examples, windows.batch_size
        self.batches_per_epoch = windows.batches_per_epoch
        self._windows, self._vocabulary, self._config, self._seed = windows, vocabulary, config, seed

    def training_batch(self, step: int) -> Batch:
        """The batch of a step: tokens int64 (batch, longest source), right-padded, and targets int64
        (batch, sequence_length)."""
        return self._corrupted(self._windows.training_batch(step), [TRAINING, self._seed, step])

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the first validation windows, in order."""
        for index, batch in enumerate(self._windows.validation_batches()):
            yield self._corrupted(batch, [VALIDATION, index])

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """Describe, as JSON values, which tokens the first ``n_batches`` contain (see :meth:`WindowBatches.drawn`)."""
        return self._windows.drawn(n_batches)

    def _corrupted(self, batch: Batch, seeds: list[int]) -> Batch:
        generator = np.random.default_rng(seeds)
        texts = batch.tokens.numpy()
        sources = [corrupt(text, masked_spans(len(text), self._config, generator), self._vocabulary) for text in texts]
        padded = self._pad(sources, max_length=batch.tokens.size(1))
        if batch.document_ids is None:
            return Batch(padded, batch.tokens)
        return Batch(
            padded,
            batch.tokens,
            document_ids=self._ended_documents(padded).masked_fill(padded == self._vocabulary.padding_id, -1),
            target_document_ids=self._ended_documents(batch.tokens),
        )

    def _ended_documents(self, tokens: torch.Tensor) -> torch.Tensor:
        """The document of each token; unlike in other batches, an end token belongs to the document that it ends,
        since the decoder reads the target shifted by one."""
        is_end = tokens == self._vocabulary.end_of_text_id
        return is_end.cumsum(dim=1) - is_end.long()

    def _pad(self, sources: Sequence[Tokens], *, max_length: int) -> torch.Tensor:
        longest = max(map(len, sources))
        # Never longer than the text itself, which may already be as long as the model's context.
        length = min(longest + -longest % LENGTH_MULTIPLE, max_length)
        padded = torch.full((len(sources), length), self._vocabulary.padding_id)
        for row, source in enumerate(sources):
            padded[row, : len(source)] = torch.from_numpy(source)
        return padded


def _divide(total: int, n_parts: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw ``n_parts`` positive integers that add up to ``total``, uniformly from all such sequences."""
    cuts = np.sort(generator.choice(total - 1, size=n_parts - 1, replace=False)) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))
