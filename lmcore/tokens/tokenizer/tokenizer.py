"""Text to token ids and back."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers

from lmcore.errors import UserError
from lmcore.runtime.files import atomic_file
from lmcore.tokens.tokenizer.adoption import check_nothing_is_dropped, lost_features, lost_spaces, with_all_bytes
from lmcore.tokens.tokenizer.pre_tokenization import language_of, separate_words
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING, Vocabulary

logger = logging.getLogger(__name__)

SPECIAL_NAMES = {
    END_OF_TEXT: (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "[SEP]"),
    PADDING: (PADDING, "<pad>", "[PAD]", "<|pad|>"),
    MASK: (MASK, "<mask>", "[MASK]"),
}
"""The names of special tokens here, and what others call them."""


class Tokenizer:
    """Any Unicode text to token ids and back.

    ``decode(encode(text)) == text``, except where tokens are words: then white space is one space, and a word that
    is not known is ``<unk>``. The special tokens stand for themselves only as ids: where their names occur in a text
    they are text.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        # Not kept in the file: without it, a document could end itself by naming the end token.
        backend.encode_special_tokens = True
        self._backend = backend
        self._language = language_of(backend)
        self.vocabulary = Vocabulary(
            # Their numbers may have gaps.
            size=max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1,
            end_of_text_id=_special_id(backend, END_OF_TEXT),
            padding_id=_special_id(backend, PADDING),
            mask_id=_special_id(backend, MASK),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no tokenizer of this kind.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is {error}") from error

    @classmethod
    def adopt(cls, path: Path) -> Self:
        """Read a ``tokenizer.json`` that was made elsewhere.

        Its own tokens for the end of a text, padding and a mask serve as such, where it has some under a usual name;
        else they are added behind all others. So are tokens for the bytes that it cannot spell.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no tokenizer, or one that drops characters or the spaces between words.
        """
        try:
            content, n_added = with_all_bytes(path.read_text(encoding="utf-8"))
            backend = tokenizers.Tokenizer.from_str(content)
        except FileNotFoundError:
            raise
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"{path} is not a tokenizer file (tokenize.tokenizer.path): {error}") from error
        if n_added:
            logger.warning("%s has no tokens for %d of the 256 bytes: they are added after its own", path, n_added)
        backend.no_truncation()
        backend.no_padding()
        missing = [names[0] for names in SPECIAL_NAMES.values() if _find_special(backend, names) is None]
        backend.add_special_tokens(missing)
        tokenizer = cls(backend)
        tokenizer.check_characters(path)
        tokenizer.check_losses(path)
        return tokenizer

    @classmethod
    def from_json(cls, content: str) -> Self:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: if it is no tokenizer of this kind.
        """
        try:
            backend = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"not a tokenizer file: {error}") from error
        return cls(backend)

    def to_json(self) -> str:
        """The format of Hugging Face ``tokenizers`` (``tokenizer.json``)."""
        return self._backend.to_str(pretty=True)

    def check_characters(self, path: Path) -> None:
        """Say in the log what stands for what this tokenizer, which was made elsewhere, does not know.

        Raises:
            ValueError: naming its file, if characters have no token at all.
        """
        try:
            check_nothing_is_dropped(self._backend)
        except ValueError as error:
            raise UserError(f"{path} is {error}") from None

    def check_losses(self, path: Path) -> None:
        """Say in the log what of a text this tokenizer, which was made elsewhere, does not keep.

        Raises:
            ValueError: naming its file, if it does not keep the spaces between words.
        """
        try:
            example, lost = lost_spaces(self), self.lost_features
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"{path} is a tokenizer that cannot encode every text ({error}): choose another") from None
        if example is not None:
            raise UserError(
                f"{path} is a tokenizer that does not keep the spaces between words ({example}): use one with a "
                "byte-level pre-tokenizer and decoder, or kind byte_pair (tokenize.tokenizer.kind)"
            )
        if lost:
            logger.warning(
                "%s does not keep %s: bits per byte of its models are not comparable with others'; retrain the "
                "tokenizer with a byte-level pre-tokenizer, or use kind byte_pair",
                path,
                ", ".join(lost),
            )

    @property
    def lost_features(self) -> list[str]:
        """What of a text does not come back, such as upper case; nothing for tokenizers that keep all."""
        return lost_features(self)

    @property
    def has_word_tokens(self) -> bool:
        """Whether every token is a word, so that a space stands between any two of them."""
        return isinstance(self._backend.model, models.WordLevel)

    @property
    def keeps_tokens_within_words(self) -> bool:
        """Whether it is byte pairs of words as GPT-2 separates them: then no token holds two words, or parts of two."""
        backend, splitter = self._backend, self._backend.pre_tokenizer
        is_free = isinstance(backend.model, models.BPE) and backend.model.dropout is None
        has_gpt2_words = isinstance(splitter, pre_tokenizers.ByteLevel) and splitter.use_regex
        has_own_tokens = any(not token.special for token in backend.get_added_tokens_decoder().values())
        return (
            is_free
            and has_gpt2_words
            and not splitter.add_prefix_space
            and backend.normalizer is None
            and not has_own_tokens
        )

    def bytes_of_tokens(self) -> npt.NDArray[np.int64]:
        """How many bytes of text each token of byte pairs stands for, int64 (vocabulary,)."""
        # Their names have a character for each byte; those in gaps of the numbering have none.
        names = (self._backend.id_to_token(token) for token in range(self.vocabulary.size))
        return np.array([len(name or "") for name in names])

    @property
    def token_separator(self) -> str:
        """What stands between the texts of tokens and of those behind them, when each is decoded alone."""
        return " " if self.has_word_tokens else ""

    @property
    def unknown_id(self) -> int | None:
        """The token of what is not in the vocabulary, where there is one."""
        name = getattr(self._backend.model, "unk_token", None)
        return None if name is None else self._backend.token_to_id(name)

    def name_of(self, token: int) -> str:
        """A token as the vocabulary names it: special ones have no text."""
        return str(self._backend.id_to_token(token))

    def normalize(self, text: str) -> str:
        """A text as it is before it is divided into tokens."""
        normalizer = self._backend.normalizer
        return text if normalizer is None else normalizer.normalize_str(text)

    def save(self, path: Path) -> None:
        """Write the format of Hugging Face ``tokenizers`` (``tokenizer.json``)."""
        with atomic_file(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        (ids,) = self.encode_batch([text])
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, computed on all processor cores."""
        prepared = texts if self._language is None else separate_words(texts, self._language)
        return [encoding.ids for encoding in self._backend.encode_batch_fast(prepared, add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens have none, and bytes that are no UTF-8 become U+FFFD."""
        return self._backend.decode(ids, skip_special_tokens=True)


def _find_special(backend: tokenizers.Tokenizer, names: Sequence[str]) -> int | None:
    return next((identity for name in names if (identity := backend.token_to_id(name)) is not None), None)


def _special_id(backend: tokenizers.Tokenizer, token: str) -> int:
    identity = _find_special(backend, SPECIAL_NAMES[token])
    if identity is None:
        raise UserError(f"the tokenizer has no token {token}; train it with this project's tokenize stage")
    return identity
