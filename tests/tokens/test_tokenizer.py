import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.tokens.config import BytePairConfig
from lmcore.tokens.tokenizer import END_OF_TEXT, PADDING, Tokenizer

CORPUS = ["The quick brown fox jumps over the lazy dog.\n    return self.value", "Ein schöner Tag."] * 20
CONFIG = BytePairConfig(kind="byte_pair", vocabulary_size=300)
TOKENIZER = Tokenizer.train(CORPUS, CONFIG)
texts = st.lists(st.text() | st.sampled_from([END_OF_TEXT, PADDING, "\r\n", "  ", "\x00", "🏳️‍🌈", "Ġ"])).map("".join)


@given(texts)
def test_decoding_gives_back_any_text(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(texts)
def test_a_text_cannot_name_the_special_tokens(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert not {TOKENIZER.vocabulary.end_of_text_id, TOKENIZER.vocabulary.padding_id} & set(ids)
    assert all(0 <= identity < TOKENIZER.vocabulary.size for identity in ids)


@given(st.lists(texts, max_size=5))
def test_a_batch_is_encoded_as_its_texts(batch: list[str]) -> None:
    assert TOKENIZER.encode_batch(batch) == [TOKENIZER.encode(text) for text in batch]


def test_special_tokens_have_no_text() -> None:
    ids = [TOKENIZER.vocabulary.end_of_text_id, *TOKENIZER.encode("text"), TOKENIZER.vocabulary.padding_id]
    assert TOKENIZER.decode(ids) == "text"


def test_frequent_pairs_become_tokens() -> None:
    assert len(TOKENIZER.encode(CORPUS[0])) < len(CORPUS[0]) / 2
    assert TOKENIZER.vocabulary.size == 300


def test_a_small_corpus_gives_a_small_vocabulary() -> None:
    tokenizer = Tokenizer.train(["ab"], CONFIG)
    assert tokenizer.vocabulary.size == 3 + 256 + 1
    assert tokenizer.decode(tokenizer.encode("é")) == "é"


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    loaded = Tokenizer.load(path)
    text = f"The fox {END_OF_TEXT} schön"
    assert loaded.encode(text) == TOKENIZER.encode(text)
    assert loaded.vocabulary.end_of_text_id == TOKENIZER.vocabulary.end_of_text_id


@pytest.mark.parametrize("content", ["not json", "{}", json.dumps({"model": {"type": "BPE"}})])
def test_another_file_is_no_tokenizer(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer.json is not a tokenizer file"):
        Tokenizer.load(path)


def test_a_tokenizer_without_our_special_tokens_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    path.write_text(path.read_text().replace(PADDING, "<|other|>"))
    with pytest.raises(ValueError, match=r"has no token <\|padding\|>"):
        Tokenizer.load(path)


def test_threads_and_hash_seeds_do_not_change_the_vocabulary(tmp_path: Path) -> None:
    code = (
        "import sys, argparse, inspect, typing, pathlib, json\n"
        "from lmcore.tokens.tokenizer import Tokenizer\n"
        "from lmcore.tokens.config import BytePairConfig\n"
        "texts = [inspect.getsource(module) for module in (argparse, inspect, typing, pathlib)]\n"
        "config = BytePairConfig(kind='byte_pair', vocabulary_size=2000)\n"
        "Tokenizer.train(texts, config).save(pathlib.Path(sys.argv[1]))\n"
    )
    written = []
    for threads in ("1", "2", "3"):
        path = tmp_path / f"{threads}.json"
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]
