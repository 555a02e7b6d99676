"""Hiding spans of text, so that a model learns to write it out again."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lmcore.config.models import CorruptionConfig
from lmcore.errors import UserError
from lmcore.tokens.batches.batches import LENGTH_MULTIPLE, Batch, WindowBatches
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

# Set apart the random numbers of training and validation.
TRAINING, VALIDATION = 0, 1

Tokens = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


def masked_spans(length: int, config: CorruptionConfig, generator: np.random.Generator) -> Flags:
    """Which of ``length`` tokens are hidden, boolean (length,).

    Exactly ``share`` of them are, rounded, but at least one, and one stays. The spans' number is the nearest to what
    the mean length asks for; their lengths and what lies between them, at least one token, are drawn evenly from all
    the ways to divide the tokens so (Raffel et al. 2020).

    Raises:
        ValueError: if there are fewer than two tokens.
    """
    if length < 2:
        raise UserError(f"{length} tokens are too few to mask some of them: expected at least 2")
    n_hidden = min(max(1, round(config.share * length)), length - 1)
    n_visible = length - n_hidden
    n_spans = min(max(1, round(n_hidden / config.mean_span_tokens)), n_hidden, n_visible + 1)
    spans = _divide(n_hidden, n_spans, generator)
    # Nothing need stand before the first span or behind the last: these two gaps are drawn one too long.
    gaps = _divide(n_visible + 2, n_spans + 1, generator)
    gaps[[0, -1]] -= 1
    lengths = np.empty(2 * n_spans + 1, dtype=np.int64)
    lengths[0::2], lengths[1::2] = gaps, spans
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def corrupt(tokens: Tokens, hidden: Flags, vocabulary: Vocabulary) -> Tokens:
    """``tokens`` (length,) with one mask token in the place of each run of hidden ones; end tokens stay, and end a
    run."""
    hidden = hidden & (tokens != vocabulary.end_of_text_id)
    goes_on = hidden & np.concatenate(([False], hidden[:-1]))
    return np.where(hidden, vocabulary.mask_id, tokens)[~goes_on]


class CorruptedBatches:
    """Windows of text as targets, and the same text with spans hidden as sources.

    The target is the whole text and not only what is hidden (Lewis et al. 2020, BART): spans need no names of their
    own, and the decoder becomes a language model of ordinary text. Spans are others in every epoch, those of a
    validation window always the same, whatever the seed.

    Args:
        windows: the text.
        vocabulary: of its tokens.
        config: how much is hidden.
        seed: with the step it decides everything.
    """

    def __init__(self, windows: WindowBatches, vocabulary: Vocabulary, config: CorruptionConfig, *, seed: int) -> None:
        self.n_examples, self.batch_size = windows.n_examples, windows.batch_size
        self.batches_per_epoch = windows.batches_per_epoch
        self._windows, self._vocabulary, self._config, self._seed = windows, vocabulary, config, seed

    def training_batch(self, step: int) -> Batch:
        """The batch of a step: tokens int64 (batch, length of the longest source), filled up on the right with the
        padding token, and targets int64 (batch, sequence_length)."""
        return self._corrupted(self._windows.training_batch(step), [TRAINING, self._seed, step])

    def validation_batches(self) -> Iterator[Batch]:
        """The first validation windows, in their order."""
        for place, batch in enumerate(self._windows.validation_batches()):
            yield self._corrupted(batch, [VALIDATION, place])

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """What is needed to know which tokens a training on the first ``n_batches`` has seen, as JSON values."""
        return self._windows.drawn(n_batches)

    def _corrupted(self, batch: Batch, seeds: list[int]) -> Batch:
        generator = np.random.default_rng(seeds)
        texts = batch.tokens.numpy()
        sources = [corrupt(text, masked_spans(len(text), self._config, generator), self._vocabulary) for text in texts]
        return Batch(self._filled_up(sources, most=batch.tokens.size(1)), batch.tokens)

    def _filled_up(self, sources: Sequence[Tokens], *, most: int) -> torch.Tensor:
        longest = max(map(len, sources))
        # Never longer than the text itself, which may already be as long as the model's context.
        length = min(longest + -longest % LENGTH_MULTIPLE, most)
        filled = torch.full((len(sources), length), self._vocabulary.padding_id)
        for row, source in enumerate(sources):
            filled[row, : len(source)] = torch.from_numpy(source)
        return filled


def _divide(total: int, n_parts: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """``n_parts`` whole numbers of at least one that add up to ``total``, every such way equally likely."""
    cuts = np.sort(generator.choice(total - 1, size=n_parts - 1, replace=False)) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))
