"""Hiding tokens, so that a model learns to guess them from both sides."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lmcore.config.models import MaskingConfig
from lmcore.errors import UserError
from lmcore.tokens.batches.batches import IGNORED, Batch, WindowBatches
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

# Of the tokens to be guessed: so many are hidden, so many replaced; the rest stays (Devlin et al. 2019).
HIDDEN_SHARE, REPLACED_SHARE = 0.8, 0.1
# Set apart the random numbers of training and validation.
TRAINING, VALIDATION = 0, 1

Tokens = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class WordStarts:
    """Where words begin in a sequence of tokens.

    Attributes:
        begins: boolean (vocabulary,), whether a word begins with the token.
        ends: boolean (vocabulary,), whether what follows the token begins a word, whatever it is.
    """

    begins: Flags
    ends: Flags

    def of(self, tokens: Tokens) -> Flags:
        """Boolean (batch, length), true where a word begins in ``tokens`` (batch, length)."""
        starts = self.begins[tokens]
        starts[:, 1:] |= self.ends[tokens[:, :-1]]
        starts[:, 0] = True
        return starts


def word_starts(tokenizer: Tokenizer) -> WordStarts:
    """How a tokenizer's tokens make up words: runs of letters, marks, digits and underscores, with the white space or
    punctuation that stands in the same token before them.

    A token with an incomplete character counts as letters; special tokens are words of their own.
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
    """Hide some tokens (Devlin et al. 2019).

    The share of tokens to be guessed is met exactly over the whole batch (with whole words, up to a word), and is
    at least one token. Special tokens are neither hidden nor put in another's place.

    Args:
        tokens: (batch, length).
        vocabulary: of the tokens.
        config: which share, and whether all tokens of a word are guessed together.
        generator: where chance comes from; it alone decides.
        starts: of the tokenizer; needed for whole words.

    Returns:
        the tokens as a model sees them and its targets, both int64 (batch, length); what is not to be guessed is
        ``IGNORED`` in the targets.

    Raises:
        ValueError: if whole words are wanted without ``starts``, or there is nothing but special tokens.
    """
    tokens = tokens.astype(np.int64)
    specials = special_ids(vocabulary)
    is_text = ~np.isin(tokens, specials)
    if not is_text.any():
        raise UserError(f"a batch of {tokens.size} tokens contains only special tokens: there is nothing to predict")
    guessed = _choose(tokens, is_text, config, generator, starts)
    targets = np.where(guessed, tokens, IGNORED)
    ordinary = np.setdiff1d(np.arange(vocabulary.size), specials)
    replacements = ordinary[generator.integers(len(ordinary), size=tokens.shape)]
    fate = generator.random(tokens.shape)
    seen = np.where(guessed & (fate < HIDDEN_SHARE), vocabulary.mask_id, tokens)
    is_replaced = guessed & (fate >= HIDDEN_SHARE) & (fate < HIDDEN_SHARE + REPLACED_SHARE)
    return np.where(is_replaced, replacements, seen), targets


def special_ids(vocabulary: Vocabulary) -> list[int]:
    """The tokens that stand for no text."""
    return sorted({vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id})


class MaskedBatches:
    """Windows of text with some of their tokens hidden, and these as targets.

    A window's hidden tokens are others in every epoch (Liu et al. 2019), those of a validation window always the same,
    whatever the seed.

    Args:
        windows: the text.
        vocabulary: of its tokens.
        config: what is hidden.
        seed: with the step it decides everything.
        starts: of the tokenizer; needed for whole words.
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
        """The first validation windows, in their order."""
        for place, batch in enumerate(self._windows.validation_batches()):
            yield self._masked(batch, [VALIDATION, place])

    def drawn(self, n_batches: int) -> dict[str, Any]:
        """What is needed to know which tokens a training on the first ``n_batches`` has seen, as JSON values."""
        return self._windows.drawn(n_batches)

    def _masked(self, batch: Batch, seeds: list[int]) -> Batch:
        generator = np.random.default_rng(seeds)
        tokens, targets = mask_tokens(batch.tokens.numpy(), self._vocabulary, self._config, generator, self._starts)
        return Batch(torch.from_numpy(tokens), torch.from_numpy(targets))


def _choose(
    tokens: Tokens, is_text: Flags, config: MaskingConfig, generator: np.random.Generator, starts: WordStarts | None
) -> Flags:
    """Which tokens are to be guessed, boolean (batch, length)."""
    words: npt.NDArray[np.integer] = np.arange(tokens.size).reshape(tokens.shape)
    if config.use_whole_words:
        if starts is None:
            raise UserError(
                "whole words cannot be hidden without knowing where they begin: give word_starts(tokenizer)"
            )
        words = np.cumsum(starts.of(tokens) | ~is_text, dtype=np.int64).reshape(tokens.shape)
    sizes = np.bincount(words[is_text])
    n_wanted = max(1, round(config.mlm_probability * int(is_text.sum())))
    order = generator.permutation(np.flatnonzero(sizes))
    n_before = np.cumsum(sizes[order]) - sizes[order]
    # The last word may go beyond what is wanted: without it long words would come too short, and one token none.
    return np.isin(words, order[n_before < n_wanted]) & is_text


def _is_of_word(character: str) -> bool:
    return character in ("_", "\N{REPLACEMENT CHARACTER}") or (
        bool(character) and unicodedata.category(character)[0] in "LMN"
    )
