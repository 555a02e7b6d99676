"""Trains tokenizers on texts."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from lmcore.config.tokenize import BytePairConfig, CharactersConfig, ExistingConfig, TokenizerConfig, WordsConfig
from lmcore.progress import ProgressBar, progress
from lmcore.tokens.tokenizer.pre_tokenization import separate_words, split_at_white_space, split_by_spacy
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING

SPECIAL_TOKENS = [END_OF_TEXT, PADDING, MASK]
UNKNOWN_WORD = "<unk>"
"""An ordinary word, not a special token: it is predicted and shown like any other, and may occur in a text."""
TEXTS_PER_BATCH = 1_000
MAX_RUN_CHARACTERS = 1_000
"""Longer runs are cut for training, because merging takes quadratic time in their length."""
MAX_TOKEN_LENGTH = 256
"""In bytes, or in characters for words; anything longer is ASCII art rather than text."""
LONG_RUN = re.compile(rf"\w{{{MAX_RUN_CHARACTERS}}}|(?:[^\w\s]|_){{{MAX_RUN_CHARACTERS}}}|\s{{{MAX_RUN_CHARACTERS}}}")
"""The runs that GPT-2's pre-tokenizer does not split: letters, digits, white space, or other characters."""


class SizedTexts(Protocol):
    """Texts that can be iterated more than once, and their number."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...


def train_tokenizer(texts: SizedTexts, config: TokenizerConfig) -> Tokenizer:
    """Train the configured tokenizer, or load an existing one; the same texts give the same tokenizer.

    Args:
        texts: the training texts.
        config: kind and vocabulary of the tokenizer.

    Raises:
        UserError: if an existing tokenizer cannot be used, or spaCy does not support the language.
        FileNotFoundError: if the file of an existing tokenizer is missing.
    """
    if isinstance(config, ExistingConfig):
        return Tokenizer.adopt(Path(config.path))
    with progress("Train tokenizer", len(texts), "documents") as bar:
        batches = _batches(texts, bar)
        match config:
            case BytePairConfig():
                return Tokenizer(_byte_pairs(batches, config))
            case WordsConfig():
                return Tokenizer(_words(batches, config))
            case CharactersConfig():
                return Tokenizer(_characters(batches, config))


def _byte_pairs(batches: Iterator[Sequence[str]], config: BytePairConfig) -> tokenizers.Tokenizer:
    """Byte-level byte-pair encoding; the vocabulary is smaller than configured if the texts have too few pairs."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_LENGTH,
        show_progress=False,
    )
    backend.train_from_iterator(([part for text in batch for part in _cut_runs(text)] for batch in batches), trainer)
    return backend


def _cut_runs(text: str) -> Iterator[str]:
    """Yield the parts of a text, cut within runs that are too long."""
    # Few texts have such runs, and searching for one is fast.
    if len(text) < MAX_RUN_CHARACTERS or not LONG_RUN.search(text):
        yield text
        return
    start = 0
    for run in LONG_RUN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def _words(batches: Iterator[Sequence[str]], config: WordsConfig) -> tokenizers.Tokenizer:
    """The most frequent words; equally frequent ones in alphabetical order."""
    backend = tokenizers.Tokenizer(models.WordLevel())
    if config.language is None:
        backend.pre_tokenizer = split_at_white_space()
    else:
        backend.pre_tokenizer = split_by_spacy(config.language)
        batches = (separate_words(batch, config.language) for batch in batches)
    # A word that is spelled like a special token is an unknown word.
    replace_special = [normalizers.Replace(token, UNKNOWN_WORD) for token in SPECIAL_TOKENS]
    lower_case = [normalizers.Lowercase()] if config.lowercase else []
    backend.normalizer = normalizers.Sequence([*lower_case, *replace_special])
    limit = 2**31 if config.max_words is None else config.max_words
    trainer = trainers.WordLevelTrainer(vocab_size=limit, min_frequency=config.min_count, show_progress=False)
    backend.train_from_iterator(batches, trainer)
    known = backend.get_vocab()
    by_frequency = sorted((word for word in known if len(word) <= MAX_TOKEN_LENGTH), key=lambda word: known[word])
    words = dict.fromkeys([*SPECIAL_TOKENS, UNKNOWN_WORD, *by_frequency])
    backend.model = models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNKNOWN_WORD)
    backend.add_special_tokens(SPECIAL_TOKENS)
    return backend


def _characters(batches: Iterator[Sequence[str]], config: CharactersConfig) -> tokenizers.Tokenizer:
    """Single characters, sorted, after the bytes that encode all others."""
    counts: Counter[str] = Counter()
    for batch in batches:
        counts.update("".join(batch))
    characters = sorted(character for character, count in counts.items() if count >= config.min_count)
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*SPECIAL_TOKENS, *byte_tokens, *characters]
    model = models.BPE({token: number for number, token in enumerate(tokens)}, merges=[], byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens(SPECIAL_TOKENS)
    return backend


def _batches(texts: SizedTexts, bar: ProgressBar) -> Iterator[Sequence[str]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, TEXTS_PER_BATCH)):
        yield batch
        bar.advance(len(batch))
