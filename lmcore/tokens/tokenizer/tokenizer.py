"""The tokenizer: text to token ids and back."""

import json
import logging
from collections.abc import Sequence
from functools import cached_property
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
from lmcore.tokens.tokenizer.special_tokens import (
    SpecialTokens,
    add_missing,
    belongs_to_model,
    declared_special_tokens,
    guard_special_names,
    set_template,
    unknown_name,
    vocabulary_of,
    vocabulary_size,
)

logger = logging.getLogger(__name__)


class Tokenizer:
    """Encodes any Unicode text as token ids, and decodes them.

    ``decode(encode(text)) == text``, except for word tokenizers: white space becomes a single space, and an unknown
    word ``<unk>``. The name of a special token within a text is encoded as ordinary text.

    Args:
        backend: a tokenizer of the library ``tokenizers`` that has the special tokens.

    Attributes:
        vocabulary: size and special tokens.
        n_own_tokens: tokens of the file, without those that :meth:`adopt` has added after them.

    Raises:
        UserError: if a special token is missing.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        # Not stored in the file. Without it, a document could end itself by naming the end token.
        backend.encode_special_tokens = True
        self._backend = backend
        self._language = language_of(backend)
        # Stored in the file to name the padding token; texts are never padded here.
        self._padding = backend.padding
        backend.no_padding()
        self.vocabulary = vocabulary_of(backend, None if self._padding is None else self._padding["pad_token"])
        self.n_own_tokens = self.vocabulary.size

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a file that :meth:`save` wrote.

        Raises:
            FileNotFoundError: if the file does not exist.
            UserError: if it is not a tokenizer file, or lacks special tokens.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is {error}") from error

    @classmethod
    def adopt(cls, path: Path) -> Self:
        """Load a ``tokenizer.json`` of another project.

        Its special tokens are those that the files of ``transformers`` beside it name, or those with a usual name;
        missing ones are added after all other tokens. Tokens for bytes that it cannot encode are added too, but not to
        the tokenizer of a model, which has no embeddings for them and knows its token for unknown text.

        Raises:
            FileNotFoundError: if the file does not exist.
            UserError: if it is not a tokenizer file, or drops characters or the spaces between words.
        """
        is_of_model = path.exists() and belongs_to_model(path)
        try:
            content, n_added = path.read_text(encoding="utf-8"), 0
            if not is_of_model:
                content, n_added = with_all_bytes(content)
            backend = tokenizers.Tokenizer.from_str(content)
        except FileNotFoundError:
            raise
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"{path} is not a tokenizer file: {error}") from error
        if n_added:
            logger.warning("%s has no tokens for %d of the 256 bytes: adding them after its own tokens", path, n_added)
        n_own_tokens = vocabulary_size(backend)
        backend.no_truncation()
        add_missing(backend, declared_special_tokens(path.parent, backend) if is_of_model else SpecialTokens())
        tokenizer = cls(backend)
        tokenizer.check_characters(path)
        tokenizer.check_losses(path)
        guard_special_names(backend)
        tokenizer.n_own_tokens = n_own_tokens
        return tokenizer

    @classmethod
    def from_json(cls, content: str) -> Self:
        """Load the result of :meth:`to_json`.

        Raises:
            UserError: if it is not a tokenizer file, or lacks special tokens.
        """
        try:
            backend = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"not a tokenizer file: {error}") from error
        return cls(backend)

    def to_json(self) -> str:
        """The tokenizer in the format of Hugging Face ``tokenizers`` (``tokenizer.json``)."""
        if self._padding is None:
            return self._backend.to_str(pretty=True)
        backend = self._copy()
        backend.enable_padding(**self._padding)
        return backend.to_str(pretty=True)

    def to_transformers_json(self, *, adds_end: bool) -> str:
        """The tokenizer for ``transformers``, which puts the start token of a document, if there is one, before a text.

        Args:
            adds_end: also put the end token after a text.
        """
        backend, vocabulary = self._copy(), self.vocabulary
        start = None if vocabulary.start_of_text_id is None else self.name_of(vocabulary.start_of_text_id)
        end = self.name_of(vocabulary.end_of_text_id) if adds_end else None
        if start is not None or end is not None or backend.post_processor is not None:
            set_template(backend, start, end)
        return backend.to_str(pretty=True)

    def check_characters(self, path: Path) -> None:
        """Check that an existing tokenizer encodes all characters, and log which token it uses for unknown text.

        Raises:
            UserError: if it drops characters; the message names the file ``path``.
        """
        try:
            check_nothing_is_dropped(self._backend)
        except ValueError as error:
            raise UserError(f"{path} is {error}") from None

    def check_losses(self, path: Path) -> None:
        """Log which features of a text an existing tokenizer does not preserve.

        Raises:
            UserError: if it does not preserve the spaces between words; the message names the file ``path``.
        """
        try:
            example, lost = lost_spaces(self), self.lost_features
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"{path} is a tokenizer that cannot encode every text ({error}): choose another") from None
        if example is not None:
            raise UserError(
                f"{path} is a tokenizer that does not preserve the spaces between words ({example}): use one with a "
                "byte-level pre-tokenizer and decoder, or the kind byte_pair"
            )
        if lost:
            logger.warning(
                "%s does not preserve %s: do not compare bits per byte of its models with those of models with other "
                "tokenizers; retrain it with a byte-level pre-tokenizer, or use the kind byte_pair",
                path,
                ", ".join(lost),
            )

    @property
    def lost_features(self) -> list[str]:
        """Features of a text that decoding does not restore, such as upper case; empty for lossless tokenizers."""
        return lost_features(self)

    @property
    def has_word_tokens(self) -> bool:
        """Whether every token is a word, so that decoding puts a space between two tokens."""
        return isinstance(self._backend.model, models.WordLevel)

    @property
    def keeps_tokens_within_words(self) -> bool:
        """Whether no token extends over parts of two words, as with the byte pairs and the word pattern of GPT-2."""
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
        """How many bytes of text each token of a byte-pair tokenizer represents, int64 (vocabulary,)."""
        # The name of a token has one character per byte; ids without a token have no name.
        names = (self._backend.id_to_token(token) for token in range(self.vocabulary.size))
        return np.array([len(name or "") for name in names])

    @property
    def token_separator(self) -> str:
        """The text between the decoded texts of consecutive tokens: a space for word tokenizers, else nothing."""
        return " " if self.has_word_tokens else ""

    @cached_property
    def unknown_id(self) -> int | None:
        """The id of the token for unknown text; ``None`` if there is none."""
        name = unknown_name(self._backend)
        return None if name is None else self._backend.token_to_id(name)

    @property
    def special_tokens(self) -> dict[str, int]:
        """The ids of special tokens by their names, which an encoded text never has."""
        return {
            added.content: identity
            for identity, added in self._backend.get_added_tokens_decoder().items()
            if added.special
        }

    def are_words(self, words: Sequence[str]) -> list[bool]:
        """Whether each word is a token or could become one: encoded alone, it is a single token that restores it or,
        for a tokenizer whose tokens are words, a single unknown word."""
        unknown = [self.unknown_id] if self.has_word_tokens else None
        return [
            len(ids) == 1 and (self.decode(ids) == word or (ids == unknown and self.normalize(word) == word))
            for word, ids in zip(words, self.encode_batch(words), strict=True)
        ]

    def with_words(self, words: Sequence[str]) -> Self:
        """This tokenizer, if its tokens are words, with those of ``words`` that it lacks after all other tokens."""
        if not self.has_word_tokens:
            return self
        described = json.loads(self.to_json())
        known = described["model"]["vocab"]
        new = [word for word in dict.fromkeys(words) if word not in known]
        known |= {word: self.vocabulary.size + index for index, word in enumerate(new)}
        return type(self).from_json(json.dumps(described, ensure_ascii=False))

    def name_of(self, token: int) -> str:
        """The name of a token in the vocabulary, which special tokens have, too."""
        return str(self._backend.id_to_token(token))

    def normalize(self, text: str) -> str:
        """The text after normalization, the first step of encoding."""
        normalizer = self._backend.normalizer
        return text if normalizer is None else normalizer.normalize_str(text)

    def save(self, path: Path) -> None:
        """Write the tokenizer in the format of Hugging Face ``tokenizers`` (``tokenizer.json``)."""
        with atomic_file(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        (ids,) = self.encode_batch([text])
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens, computed on all CPU cores."""
        prepared = texts if self._language is None else separate_words(texts, self._language)
        return [encoding.ids for encoding in self._backend.encode_batch_fast(prepared, add_special_tokens=False)]

    def decode_continuation(self, ids: Sequence[int]) -> str:
        """The text of token ids that follow other text: with the space before it that some decoders remove.

        Word tokenizers have no such space, see :attr:`token_separator`.
        """
        if self._text_before is None:
            return self.decode(ids)
        return self.decode([*self._text_before, *ids])[len(self.decode(self._text_before)) :]

    @cached_property
    def _text_before(self) -> list[int] | None:
        """The tokens of a text, if decoding removes a space at the start; None if it does not."""
        text = self.encode("a")
        removes_space = self.decode([*text, *text]) != self.decode(text) * 2
        return text if removes_space and not self.has_word_tokens else None

    def _copy(self) -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer.from_str(self._backend.to_str())

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are skipped, and bytes that are not valid UTF-8 become U+FFFD."""
        return self._backend.decode(ids, skip_special_tokens=True)
