"""Masks tokens, so that a model learns to predict them from the context on both sides."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lmcore.config.families import MaskingConfig
from lmcore.errors import UserError
from lmcore.tokens.batches.batches import IGNORED, TRAINING, VALIDATION, Batch, WindowBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

MASKED_RATIO, REPLACED_RATIO = 0.8, 0.1
"""Ratios of the tokens to predict that are masked and replaced by a random one; the rest stays (Devlin et al. 2019)."""
Tokens = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class WordStarts:
    """Finds where words begin in a sequence of tokens.

    Attributes:
        begins: bool (vocabulary,), whether the token begins a word.
        ends: bool (vocabulary,), whether any token after it begins a word.
    """

    begins: Flags
    ends: Flags

    def of(self, tokens: Tokens) -> Flags:
        """Whether a word begins at each position of ``tokens`` (batch, length), bool (batch, length)."""
        starts = self.begins[tokens]
        starts[:, 1:] |= self.ends[tokens[:, :-1]]
        starts[:, 0] = True
        return starts


def word_starts(tokenizer: Tokenizer) -> WordStarts:
    """Where words begin among a tokenizer's tokens.

    A word is a run of letters, marks, digits and underscores, with the white space or punctuation before it in the same
    token. A token with an incomplete character counts as letters; special tokens are words of their own.
    """
    if tokenizer.has_word_tokens:
        everywhere = np.ones(tokenizer.vocabulary.size, dtype=bool)
        return WordStarts(begins=everywhere, ends=everywhere)
    texts = [tokenizer.decode([identity]) for identity in range(tokenizer.vocabulary.size)]
    return WordStarts(
        begins=np.array([not _is_of_word(text[:1]) for text in texts]),
        ends=np.array([not _is_of_word(text[-1:]) for text in texts]),
    )


def mask_tokens(
    tokens: Tokens,
    vocabulary: Vocabulary,
    config: MaskingConfig,
    generator: np.random.Generator,
    starts: WordStarts | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Mask tokens for masked language modeling (Devlin et al. 2019).

    The ratio of tokens to predict is exact over the whole batch (with whole words, up to one word), and at least one
    token. Special tokens are never masked, and never replace another token.

    Args:
        tokens: (batch, length).
        vocabulary: the tokenizer's vocabulary.
        config: the ratio of tokens to predict, and whether whole words are masked.
        generator: source of all random numbers.
        starts: where words begin; needed for whole words.

    Returns:
        The masked tokens and the targets, both int64 (batch, length); targets that are not to be predicted are
        ``IGNORED``.

    Raises:
        UserError: if whole words are configured without ``starts``, or the batch has only special tokens.
    """
    tokens = tokens.astype(np.int64)
    specials = vocabulary.special_ids
    is_text = ~np.isin(tokens, specials)
    if not is_text.any():
        raise UserError(f"a batch of {tokens.size} tokens contains only special tokens: there is nothing to predict")
    is_predicted = _choose_predicted(tokens, is_text, config, generator, starts)
    targets = np.where(is_predicted, tokens, IGNORED)
    ordinary = np.setdiff1d(np.arange(vocabulary.size), specials)
    replacements = ordinary[generator.integers(len(ordinary), size=tokens.shape)]
    drawn = generator.random(tokens.shape)
    masked = np.where(is_predicted & (drawn < MASKED_RATIO), vocabulary.mask_id, tokens)
    is_replaced = is_predicted & (drawn >= MASKED_RATIO) & (drawn < MASKED_RATIO + REPLACED_RATIO)
    return np.where(is_replaced, replacements, masked), targets


class MaskedBatches:
    """Windows of text with masked tokens, which are the targets.

    Every epoch masks other tokens (dynamic masking, Liu et al. 2019); those of a validation window are always the same,
    whatever the seed.

    Args:
        windows: the windows of text.
        vocabulary: the tokenizer's vocabulary.
        config: the ratio of tokens to predict, and whether whole words are masked.
        seed: with the step, it determines the masked tokens.
        starts: where words begin; needed for whole words.
    """

    def __init__(
        self,
        windows: WindowBatches,
        vocabulary: Vocabulary,
        config: MaskingConfig,
        *,
        seed: int,
        starts: WordStarts | None = None,
    ) -> None:
        self.n_examples, self.batch_size = windows.n_examples, windows.batch_size
        self.batches_per_epoch = windows.batches_per_epoch
        self._windows, self._vocabulary, self._config = windows, vocabulary, config
        self._seed, self._starts = seed, starts

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, tokens and targets int64 (batch, sequence_length)."""
        return self._masked(self._windows.training_batch(step), [TRAINING, self._seed, step])

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the first validation windows, in order."""
        for index, batch in enumerate(self._windows.validation_batches()):
            yield self._masked(batch, [VALIDATION, index])

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """Describe, as JSON values, which tokens the first ``n_batches`` contain (see :meth:`WindowBatches.drawn`)."""
        return self._windows.drawn(n_batches)

    def _masked(self, batch: Batch, seeds: list[int]) -> Batch:
        generator = np.random.default_rng(seeds)
        tokens, targets = mask_tokens(batch.tokens.numpy(), self._vocabulary, self._config, generator, self._starts)
        return replace(batch, tokens=torch.from_numpy(tokens), targets=torch.from_numpy(targets))


def _choose_predicted(
    tokens: Tokens, is_text: Flags, config: MaskingConfig, generator: np.random.Generator, starts: WordStarts | None
) -> Flags:
    """Choose the tokens to predict, bool (batch, length)."""
    words: npt.NDArray[np.integer] = np.arange(tokens.size).reshape(tokens.shape)
    if config.use_whole_words:
        if starts is None:
            raise UserError(
                "masking whole words needs the positions where words start: pass starts=word_starts(tokenizer)"
            )
        words = np.cumsum(starts.of(tokens) | ~is_text, dtype=np.int64).reshape(tokens.shape)
    sizes = np.bincount(words[is_text])
    n_predicted = max(1, round(config.mlm_probability * int(is_text.sum())))
    order = generator.permutation(np.flatnonzero(sizes))
    n_before = np.cumsum(sizes[order]) - sizes[order]
    # The last word may exceed the ratio: otherwise long words would be rare, and a single wanted token never chosen.
    return np.isin(words, order[n_before < n_predicted]) & is_text


def _is_of_word(character: str) -> bool:
    return character in ("_", "\N{REPLACEMENT CHARACTER}") or (
        bool(character) and unicodedata.category(character)[0] in "LMN"
    )
