import inspect
import json
import os
import subprocess
import sys
import time
import typing
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.config.tokenize import BytePairConfig, CharactersConfig, WordsConfig
from lmcore.tokens.tokenizer import training
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, PADDING

CORPUS = ["The quick brown fox jumps over the lazy dog.\n    return self.value", "Ein schöner Tag."] * 20
CONFIG = BytePairConfig(kind="byte_pair", vocabulary_size=300)
TOKENIZER = train_tokenizer(CORPUS, CONFIG)
CHARACTERS = train_tokenizer(CORPUS, CharactersConfig(kind="characters", min_count=1))
WORDS = WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=False)
LOSSLESS = pytest.mark.parametrize("tokenizer", [TOKENIZER, CHARACTERS], ids=["byte_pair", "characters"])
texts = st.lists(st.text() | st.sampled_from([END_OF_TEXT, PADDING, "\r\n", "  ", "\x00", "🏳️‍🌈", "Ġ"])).map("".join)


@LOSSLESS
@given(text=texts)
def test_decoding_gives_back_any_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@LOSSLESS
@given(text=texts)
def test_a_text_cannot_name_the_special_tokens(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert not {tokenizer.vocabulary.end_of_text_id, tokenizer.vocabulary.padding_id} & set(ids)
    assert all(0 <= identity < tokenizer.vocabulary.size for identity in ids)


@given(st.lists(st.text("aeé✓", min_size=1), min_size=1), st.integers(1, 3))
def test_frequent_characters_are_one_token_each(texts: list[str], min_count: int) -> None:
    tokenizer = train_tokenizer(texts, CharactersConfig(kind="characters", min_count=min_count))
    counts = Counter("".join(texts))
    assert tokenizer.vocabulary.size == 3 + 256 + sum(count >= min_count for count in counts.values())
    for character, count in counts.items():
        assert len(tokenizer.encode(character)) == (1 if count >= min_count else len(character.encode()))


@given(st.lists(st.lists(st.sampled_from(["a", "b", "is", "N", "<unk>", "It"]), min_size=1), min_size=1))
def test_words_of_a_known_vocabulary_come_back(sentences: list[list[str]]) -> None:
    tokenizer = train_tokenizer([" ".join(sentence) for sentence in sentences], WORDS)
    known = {word for sentence in sentences for word in sentence} | {"<unk>"}
    assert tokenizer.vocabulary.size == 3 + len(known)
    for sentence in sentences:
        ids = tokenizer.encode("\n ".join(sentence))
        assert len(ids) == len(sentence)
        assert tokenizer.decode(ids) == " ".join(sentence)
    assert tokenizer.decode(tokenizer.encode("a-word-nobody-knows a")) == ("<unk> a" if "a" in known else "<unk> <unk>")


def test_the_most_frequent_words_are_known() -> None:
    corpus = ["b b b c c c a a d d Die die DIE die"]
    tokenizer = train_tokenizer(corpus, WORDS.model_copy(update={"max_words": 3, "lowercase": True}))
    assert tokenizer.decode(tokenizer.encode("a b c d Die")) == "<unk> b c <unk> die"
    tokenizer = train_tokenizer(corpus, WORDS.model_copy(update={"min_count": 2}))
    assert tokenizer.decode(tokenizer.encode("a b c d Die die")) == "a b c d <unk> die"


def test_a_word_tokenizer_takes_the_names_of_special_tokens_as_text() -> None:
    tokenizer = train_tokenizer(["a b"], WORDS)
    assert tokenizer.decode(tokenizer.encode(f"a {END_OF_TEXT} b")) == "a <unk> b"


def test_words_are_added_after_the_other_tokens_and_kept_in_the_file(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["a b"], WORDS.model_copy(update={"lowercase": True}))
    words = ["c", "a", "C", "c d", "c", "<unk>", ""]
    assert tokenizer.are_words(words) == [True, True, False, False, True, True, False]
    larger = tokenizer.with_words(["c", "a", "e", "c"])
    larger.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.vocabulary.size == tokenizer.vocabulary.size + 2
    assert loaded.encode("b a") == tokenizer.encode("b a")
    assert loaded.decode(loaded.encode("a E c f")) == "a e c <unk>"
    assert TOKENIZER.with_words(["c"]).vocabulary == TOKENIZER.vocabulary


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
    tokenizer = train_tokenizer(["ab"], CONFIG)
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


RUNS = {
    "letter": "a" * 400_000,
    "space": " " * 400_000,
    "white space": "\n \t" * 130_000,
    "digit": "7" * 400_000,
    "number": "1\u00b2" * 200_000,
    "line": "=" * 400_000,
    "marks": "_-" * 200_000,
    "Chinese": "\u4e2d" * 200_000,
    "emoji": "\U0001f642" * 100_000,
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_long_run_neither_takes_long_nor_becomes_a_token(kind: str) -> None:
    started = time.process_time()
    tokenizer = train_tokenizer([f"The run {RUNS[kind]} and its end."], CONFIG)
    # With the square of its length it would take minutes.
    assert time.process_time() - started < 10
    assert tokenizer.bytes_of_tokens().max() <= 256
    text = f"x{RUNS[kind][:3000]}y"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_words_have_a_longest_one_as_well() -> None:
    tokenizer = train_tokenizer(["a " + "b" * 100_000], WORDS)
    assert tokenizer.decode(tokenizer.encode("a " + "b" * 100_000)) == "a <unk>"


def test_training_on_usual_text_is_as_if_there_were_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [inspect.getsource(module) for module in (inspect, typing)] + ["\u4e2d\u6587\u3002" * 2000, "=" * 900]
    config = BytePairConfig(kind="byte_pair", vocabulary_size=600)
    trained = train_tokenizer(texts, config).to_json()
    monkeypatch.setattr(training, "_cut_runs", lambda text: [text])
    assert train_tokenizer(texts, config).to_json() == trained


def test_threads_and_hash_seeds_do_not_change_the_vocabulary(tmp_path: Path) -> None:
    code = (
        "import sys, argparse, inspect, typing, pathlib, json\n"
        "from lmcore.tokens.tokenizer.training import train_tokenizer\n"
        "from lmcore.config.tokenize import BytePairConfig\n"
        "texts = [inspect.getsource(module) for module in (argparse, inspect, typing, pathlib)]\n"
        "config = BytePairConfig(kind='byte_pair', vocabulary_size=2000)\n"
        "train_tokenizer(texts, config).save(pathlib.Path(sys.argv[1]))\n"
    )
    written = []
    for threads in ("1", "2", "3"):
        path = tmp_path / f"{threads}.json"
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]
