from pathlib import Path

import pytest

from lmcore.config.tokenize import WordsConfig
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer

SPACY_WORDS = WordsConfig(kind="words", language="en", max_words=None, min_count=1, lowercase=True)
TEXTS = ["Don't stop, they said.", "They said (twice): stop!"]


def test_words_are_spacys_tokens_in_lower_case() -> None:
    tokenizer = train_tokenizer(TEXTS, SPACY_WORDS)
    ids = tokenizer.encode("They don't\n  stop!")
    assert tokenizer.decode(ids) == "they do n't stop !"
    assert tokenizer.decode(tokenizer.encode("They never stop.")) == "they <unk> stop ."


def test_a_vocabulary_keeps_the_most_frequent_words() -> None:
    config = SPACY_WORDS.model_copy(update={"min_count": 2})
    tokenizer = train_tokenizer(TEXTS, config)
    assert tokenizer.decode(tokenizer.encode("They said: do not stop")) == "they said <unk> <unk> <unk> stop"


def test_chinese_is_divided_by_its_own_rules() -> None:
    config = SPACY_WORDS.model_copy(update={"language": "zh"})
    tokenizer = train_tokenizer(["我们去公园。", "公园很大。"], config)
    assert tokenizer.decode(tokenizer.encode("公园大。")) == "公 园 大 。"


def test_the_language_of_words_is_kept_in_the_file(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, SPACY_WORDS)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    for text in (*TEXTS, "don't (stop)"):
        assert loaded.encode(text) == tokenizer.encode(text)


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(ValueError, match="language 'qq'"):
        train_tokenizer(TEXTS, SPACY_WORDS.model_copy(update={"language": "qq"}))
