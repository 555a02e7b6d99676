"""Text to token ids and back."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from lmcore.files import atomic_file
from lmcore.progress import Work, progress
from lmcore.tokens.config import BytePairConfig
from lmcore.tokens.vocabulary import Vocabulary

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|padding|>"
MASK = "<|mask|>"
TEXTS_PER_BATCH = 1_000


class Tokenizer:
    """Byte-level byte-pair encoding: any Unicode text is encoded, and ``decode(encode(text)) == text``.

    The special tokens stand for themselves only as ids: where their names occur in a text they are text.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        # Not kept in the file: without it, a document could end itself by naming the end token.
        backend.encode_special_tokens = True
        self._backend = backend
        self.vocabulary = Vocabulary(
            size=backend.get_vocab_size(),
            end_of_text_id=_special_id(backend, END_OF_TEXT),
            padding_id=_special_id(backend, PADDING),
            mask_id=_special_id(backend, MASK),
        )

    @classmethod
    def train(cls, texts: Sequence[str], config: BytePairConfig) -> Self:
        """Learn a vocabulary from texts; the same texts give the same vocabulary.

        It is smaller than asked for where the texts have too few pairs of symbols.
        """
        backend = tokenizers.Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocabulary_size,
            special_tokens=[END_OF_TEXT, PADDING, MASK],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        with progress("Learn tokens", len(texts), "documents") as work:
            backend.train_from_iterator(_batches(texts, work), trainer)
        return cls(backend)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no tokenizer of this kind.
        """
        content = path.read_text(encoding="utf-8")
        try:
            backend = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # The library raises this class itself.
            raise ValueError(f"{path} is not a tokenizer file: {error}") from error
        return cls(backend)

    def save(self, path: Path) -> None:
        """Write the format of Hugging Face ``tokenizers`` (``tokenizer.json``)."""
        with atomic_file(path) as temporary:
            temporary.write_text(self._backend.to_str(pretty=True), encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, computed on all processor cores."""
        return [list(encoding.ids) for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens have none, and bytes that are no UTF-8 become U+FFFD."""
        return self._backend.decode(ids, skip_special_tokens=True)


def _batches(texts: Sequence[str], work: Work) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), TEXTS_PER_BATCH):
        batch = texts[start : start + TEXTS_PER_BATCH]
        yield batch
        work.advance(len(batch))


def _special_id(backend: tokenizers.Tokenizer, token: str) -> int:
    identity = backend.token_to_id(token)
    if identity is None:
        raise ValueError(f"the tokenizer has no token {token}; train it with this project's tokenize stage")
    return identity
