"""Tokenizers learned from texts."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from lmcore.config.tokenize import BytePairConfig, CharactersConfig, ExistingConfig, TokenizerConfig, WordsConfig
from lmcore.progress import Work, progress
from lmcore.tokens.tokenizer.pre_tokenization import by_spacy, by_white_space, separate_words
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING

SPECIAL_TOKENS = [END_OF_TEXT, PADDING, MASK]
UNKNOWN_WORD = "<unk>"
"""An ordinary word: it is predicted and shown like any other, and a text may already hold it."""
TEXTS_PER_BATCH = 1_000
LONGEST_PIECE = 1_000
"""In characters. What is longer is cut for learning: the time that merging takes grows with its square."""
LONGEST_TOKEN = 256
"""In bytes, or for a word in characters: what is longer was drawn, not written."""
LONG_RUN = re.compile(rf"\w{{{LONGEST_PIECE}}}|(?:[^\w\s]|_){{{LONGEST_PIECE}}}|\s{{{LONGEST_PIECE}}}")
"""Every piece that GPT-2's rules make of a text is letters, digits, white space, or none of these."""


class SizedTexts(Protocol):
    """Texts that can be gone through, and how many they are: a list, or what reads them from files."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...


def train_tokenizer(texts: SizedTexts, config: TokenizerConfig) -> Tokenizer:
    """Learn the vocabulary that is asked for; the same texts give the same one. An existing one has nothing to learn.

    Raises:
        ValueError: if an existing tokenizer is none, or spaCy does not know the language of words.
        FileNotFoundError: if an existing tokenizer is not there.
    """
    if isinstance(config, ExistingConfig):
        return Tokenizer.adopt(Path(config.path))
    with progress("Learn tokens", len(texts), "documents") as work:
        batches = _batches(texts, work)
        match config:
            case BytePairConfig():
                return Tokenizer(_byte_pairs(batches, config))
            case WordsConfig():
                return Tokenizer(_words(batches, config))
            case CharactersConfig():
                return Tokenizer(_characters(batches, config))


def _byte_pairs(batches: Iterator[Sequence[str]], config: BytePairConfig) -> tokenizers.Tokenizer:
    """Bytes, and the pairs of symbols that stand side by side most often: fewer where the texts have too few."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    backend.train_from_iterator(([piece for text in batch for piece in _cut(text)] for batch in batches), trainer)
    return backend


def _cut(text: str) -> Iterator[str]:
    """The text, cut within runs that are longer than a piece may be."""
    # Few texts have one, and those are told fast.
    if len(text) < LONGEST_PIECE or not LONG_RUN.search(text):
        yield text
        return
    start = 0
    for run in LONG_RUN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def _words(batches: Iterator[Sequence[str]], config: WordsConfig) -> tokenizers.Tokenizer:
    """The most frequent words, those that are equally frequent in the order of the alphabet."""
    backend = tokenizers.Tokenizer(models.WordLevel())
    if config.language is None:
        backend.pre_tokenizer = by_white_space()
    else:
        backend.pre_tokenizer = by_spacy(config.language)
        batches = (separate_words(batch, config.language) for batch in batches)
    # A word of a text that is spelled like a special token is not one.
    hide_special = [normalizers.Replace(token, UNKNOWN_WORD) for token in SPECIAL_TOKENS]
    lower_case = [normalizers.Lowercase()] if config.lowercase else []
    backend.normalizer = normalizers.Sequence([*lower_case, *hide_special])
    limit = 2**31 if config.max_words is None else config.max_words
    trainer = trainers.WordLevelTrainer(vocab_size=limit, min_frequency=config.min_count, show_progress=False)
    backend.train_from_iterator(batches, trainer)
    known = backend.get_vocab()
    by_frequency = sorted((word for word in known if len(word) <= LONGEST_TOKEN), key=lambda word: known[word])
    words = dict.fromkeys([*SPECIAL_TOKENS, UNKNOWN_WORD, *by_frequency])
    backend.model = models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNKNOWN_WORD)
    backend.add_special_tokens(SPECIAL_TOKENS)
    return backend


def _characters(batches: Iterator[Sequence[str]], config: CharactersConfig) -> tokenizers.Tokenizer:
    """Characters in the order of their numbers, behind the bytes that spell the others."""
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


def _batches(texts: SizedTexts, work: Work) -> Iterator[Sequence[str]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, TEXTS_PER_BATCH)):
        yield batch
        work.advance(len(batch))
