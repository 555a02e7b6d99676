import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from lmcore.config.tokenize import BytePairConfig, CharactersConfig, WordsConfig
from lmcore.tokens.corpus import encoding
from lmcore.tokens.corpus.encoding import CorpusEncoder, token_dtype
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT

CORPUS = ["The quick brown fox's  jumps, over the 12 lazy dogs.\n\n    return self.value", "Ein schöner Tag."] * 20
BYTE_PAIRS = train_tokenizer(CORPUS, BytePairConfig(kind="byte_pair", vocabulary_size=330))
CHARACTERS = train_tokenizer(CORPUS, CharactersConfig(kind="characters", min_count=1))
WORDS = train_tokenizer(CORPUS, WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=True))
PARTS = [
    "The",
    "quick",
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\x1c",
    "\x85",
    "\u2028",
    "\u200b",
    "'s",
    "12",
    "✓",
    "lazy.",
    END_OF_TEXT,
]
texts = st.lists(st.lists(st.text() | st.sampled_from(PARTS)).map("".join))


def decode(tokenizer: Tokenizer, encoded: bytes) -> list[int]:
    return np.frombuffer(encoded, token_dtype(tokenizer.vocabulary)).tolist()


@pytest.mark.parametrize("tokenizer", [BYTE_PAIRS, CHARACTERS, WORDS], ids=["byte_pair", "characters", "words"])
@given(first=texts, second=texts)
def test_what_is_remembered_is_what_the_tokenizer_gives(
    tokenizer: Tokenizer, first: list[str], second: list[str]
) -> None:
    encoder = CorpusEncoder(tokenizer)
    for texts in (first, second):
        assert [decode(tokenizer, encoded) for encoded in encoder.encode(texts)] == tokenizer.encode_batch(texts)


def test_it_forgets_before_it_remembers_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "CACHED_UNITS", 10)
    encoder = CorpusEncoder(BYTE_PAIRS)
    for start in range(0, 100, 20):
        texts = [f"the {number} dogs" for number in range(start, start + 20)]
        assert [decode(BYTE_PAIRS, encoded) for encoded in encoder.encode(texts)] == BYTE_PAIRS.encode_batch(texts)


def adopt(folder: Path, **changes: object) -> Tokenizer:
    """The tokenizer of byte pairs, otherwise made."""
    backend = tokenizers.Tokenizer.from_str(BYTE_PAIRS.to_json())
    for name, value in changes.items():
        setattr(backend, name, value)
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    return Tokenizer.adopt(folder / "tokenizer.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": normalizers.Replace("x y", "xy")},
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)},
        {"pre_tokenizer": pre_tokenizers.Split(" ", "merged_with_previous")},
    ],
    ids=["normalizer", "prefix", "one_word", "split"],
)
def test_tokenizers_of_another_kind_are_not_taken_apart(tmp_path: Path, changes: dict[str, object]) -> None:
    tokenizer = adopt(tmp_path, **changes)
    assert not tokenizer.keeps_tokens_within_words
    texts = ["x y the quick brown", " the\n\nlazy dogs ", "x"]
    encoder = CorpusEncoder(tokenizer)
    assert [decode(tokenizer, encoded) for encoded in encoder.encode(texts)] == tokenizer.encode_batch(texts)


def test_tokens_with_white_space_of_their_own_are_kept_whole(tmp_path: Path) -> None:
    backend = tokenizers.Tokenizer.from_str(BYTE_PAIRS.to_json())
    backend.add_tokens(["lazy dogs"])
    (tmp_path / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    tokenizer = Tokenizer.adopt(tmp_path / "tokenizer.json")
    (encoded,) = CorpusEncoder(tokenizer).encode(["the lazy dogs"])
    assert decode(tokenizer, encoded)[-1] == backend.token_to_id("lazy dogs")


def test_a_tokenizer_with_dropout_is_not_remembered() -> None:
    state = json.loads(BYTE_PAIRS.to_json())
    state["model"]["dropout"] = 0.5
    assert not Tokenizer.from_json(json.dumps(state)).keeps_tokens_within_words
