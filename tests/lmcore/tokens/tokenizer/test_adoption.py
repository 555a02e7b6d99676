"""Tokenizers of every kind, made elsewhere: nothing of a text is dropped without a word, and no id changes."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from lmcore.config.tokenize import ExistingConfig
from lmcore.tokens.corpus.encoding import CorpusEncoder
from lmcore.tokens.tokenizer.adoption import PROBES
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer

KNOWN = ["Don't stop, they said.", "They said (twice): stop!"]
TEXT = "Zebra 中文 river! ünï🙂 Don't stop"


def byte_pairs(splitter: pre_tokenizers.PreTokenizer, special: list[str] | None = None) -> tokenizers.Tokenizer:
    """Without an alphabet of all bytes."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = splitter, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=70, special_tokens=special or [], show_progress=False)
    backend.train_from_iterator(KNOWN * 5, trainer)
    return backend


def sentencepiece(kind: str) -> tokenizers.Tokenizer:
    options = {"unk_token": "<unk>", "special_tokens": ["<unk>", "</s>"]} if kind == "unigrams" else {}
    made = {
        "pairs": tokenizers.SentencePieceBPETokenizer,
        "unigrams": tokenizers.SentencePieceUnigramTokenizer,
        "unigrams without <unk>": tokenizers.SentencePieceUnigramTokenizer,
    }[kind]()
    made.train_from_iterator(KNOWN * 5, vocab_size=60, show_progress=False, **options)
    return tokenizers.Tokenizer.from_str(made.to_str())


def with_added_tokens() -> tokenizers.Tokenizer:
    backend = byte_pairs(pre_tokenizers.ByteLevel(add_prefix_space=False))
    backend.add_special_tokens(["<pad>"])
    backend.add_tokens(["twice"])
    return backend


def llama() -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>", "</s>"], show_progress=False)
    backend.train_from_iterator(KNOWN * 5, trainer)
    return backend


REPAIRED: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "byte-level pairs": lambda: byte_pairs(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "with special tokens": lambda: byte_pairs(pre_tokenizers.ByteLevel(add_prefix_space=False), ["</s>", "<pad>"]),
    "with added tokens": with_added_tokens,
    "after another pre-tokenizer": lambda: byte_pairs(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ),
    "pairs as sentencepiece has them": lambda: sentencepiece("pairs"),
    "pairs as Llama has them": llama,
    "unigrams": lambda: sentencepiece("unigrams"),
    "unigrams without <unk>": lambda: sentencepiece("unigrams without <unk>"),
}


def adopt(folder: Path, backend: tokenizers.Tokenizer) -> Tokenizer:
    (folder / "theirs.json").write_text(backend.to_str(), encoding="utf-8")
    return Tokenizer.adopt(folder / "theirs.json")


@pytest.mark.parametrize("kind", REPAIRED)
def test_what_a_tokenizer_cannot_spell_is_added_after_its_own_tokens(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = REPAIRED[kind]()
    tokenizer = adopt(tmp_path, theirs)
    assert "of the 256 bytes: adding them after its own tokens" in caplog.text
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    for text in KNOWN:
        assert tokenizer.encode(text) == theirs.encode(text, add_special_tokens=False).ids
    named = {token: tokenizer.name_of(identity) for token, identity in theirs.get_vocab().items()}
    assert named == {token: token for token in named}
    loaded = Tokenizer.from_json(tokenizer.to_json())
    assert (loaded.encode(TEXT), loaded.vocabulary) == (tokenizer.encode(TEXT), tokenizer.vocabulary)
    assert max(tokenizer.encode(TEXT)) < tokenizer.vocabulary.size
    CorpusEncoder(tokenizer).encode([TEXT])


def test_a_whole_tokenizer_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = adopt(tmp_path, REPAIRED["byte-level pairs"]())
    caplog.clear()
    again = adopt(tmp_path, tokenizers.Tokenizer.from_str(whole.to_json()))
    assert (again.to_json(), caplog.text) == (whole.to_json(), "")


def words(unknown: str | None) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.WordLevel({"stop": 0, "[UNK]": 1}, unk_token=unknown or "nothing"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


def word_pieces() -> tokenizers.Tokenizer:
    made = tokenizers.BertWordPieceTokenizer()
    made.train_from_iterator(KNOWN, vocab_size=100, show_progress=False)
    return tokenizers.Tokenizer.from_str(made.to_str())


@pytest.mark.parametrize("make", [word_pieces, lambda: words("[UNK]")])
def test_words_that_are_not_known_have_a_token_and_that_is_said(
    tmp_path: Path, make: Callable[[], tokenizers.Tokenizer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    tokenizer = adopt(tmp_path, make())
    assert "encodes unknown text as [UNK]" in caplog.text
    assert [tokenizer.name_of(token) for token in tokenizer.encode("zebra stop")] == ["[UNK]", "stop"]


def test_one_that_drops_characters_or_fails_on_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"theirs\.json is a tokenizer that cannot encode '!'"):
        adopt(tmp_path, words(None))
    backend = REPAIRED["byte-level pairs"]()
    described = json.loads(backend.to_str())
    described["normalizer"] = {"type": "Replace", "pattern": {"Regex": "[^a-z ]"}, "content": ""}
    with pytest.raises(ValueError, match=r"theirs\.json is a tokenizer that drops characters \(! \" # "):
        adopt(tmp_path, tokenizers.Tokenizer.from_str(json.dumps(described)))


def pairs_of_words(decoder: decoders.Decoder | None) -> tokenizers.Tokenizer:
    """Between whose words the spaces are gone before anything is counted."""
    backend = byte_pairs(pre_tokenizers.Whitespace())
    backend.decoder = decoder
    return backend


def pairs_with_ends_of_words() -> tokenizers.Tokenizer:
    made = tokenizers.CharBPETokenizer()
    made.train_from_iterator(KNOWN * 5, vocab_size=100, show_progress=False)
    return tokenizers.Tokenizer.from_str(made.to_str())


def normalized(normalizer: normalizers.Normalizer) -> tokenizers.Tokenizer:
    backend = byte_pairs(pre_tokenizers.ByteLevel(add_prefix_space=False))
    backend.normalizer = normalizer
    return backend


def lower_case_words() -> tokenizers.Tokenizer:
    backend = words("[UNK]")
    backend.normalizer = normalizers.Lowercase()
    return backend


def words_with_a_special_unknown_token() -> tokenizers.Tokenizer:
    backend = words("[UNK]")
    backend.add_special_tokens(["[UNK]"])
    return backend


WHITE_SPACE = "newlines, tabs, runs of spaces"
LOSSES: dict[str, tuple[Callable[[], tokenizers.Tokenizer], str]] = {
    "word pieces": (word_pieces, f"upper case, accents, {WHITE_SPACE}, spaces next to punctuation"),
    "pairs with ends of words": (pairs_with_ends_of_words, f"{WHITE_SPACE}, spaces next to punctuation"),
    "words": (lambda: words("[UNK]"), f"{WHITE_SPACE}, spaces next to punctuation"),
    "lower-case words": (lower_case_words, f"upper case, {WHITE_SPACE}, spaces next to punctuation"),
    "words and a special token": (words_with_a_special_unknown_token, f"{WHITE_SPACE}, spaces next to punctuation"),
    "unigrams": (lambda: sentencepiece("unigrams"), WHITE_SPACE),
    "lower case": (lambda: normalized(normalizers.Lowercase()), "upper case"),
    "no accents": (
        lambda: normalized(normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])),
        "accents",
    ),
    "one mark": (lambda: normalized(normalizers.Replace(";", ":")), "punctuation"),
    "no tabs": (lambda: normalized(normalizers.Replace("\t", " ")), "tabs"),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_does_not_come_back_is_named_once(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    make, lost = LOSSES[kind]
    tokenizer = adopt(tmp_path, make())
    said = [message for message in caplog.messages if "does not preserve" in message]
    assert len(said) == 1
    assert f"theirs.json does not preserve {lost}: do not compare bits per byte of its models with" in said[0]
    assert ", ".join(tokenizer.lost_features) == lost


@pytest.mark.parametrize("kind", [kind for kind in REPAIRED if not kind.startswith("unigrams")])
def test_nothing_is_said_of_one_that_keeps_all(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert adopt(tmp_path, REPAIRED[kind]()).lost_features == []
    assert "does not preserve" not in caplog.text


@pytest.mark.parametrize("decoder", [None, decoders.Fuse(), decoders.BPEDecoder(), decoders.WordPiece()])
def test_one_that_loses_the_spaces_between_words_is_refused(tmp_path: Path, decoder: decoders.Decoder | None) -> None:
    message = r"theirs\.json is a tokenizer that does not preserve the spaces .*have the same tokens\): .*byte_pair"
    with pytest.raises(ValueError, match=message):
        adopt(tmp_path, pairs_of_words(decoder))


def test_words_whose_decoder_joins_them_without_spaces_are_refused(tmp_path: Path) -> None:
    backend = words("[UNK]")
    backend.decoder = decoders.Fuse()
    with pytest.raises(ValueError, match=r"the spaces between words \('stop stop' is decoded as 'stopstop'\)"):
        adopt(tmp_path, backend)


def test_one_that_fails_on_some_texts_is_refused(tmp_path: Path) -> None:
    known = {probe: identity for identity, probe in enumerate(PROBES)}
    backend = tokenizers.Tokenizer(models.WordLevel(known, unk_token="nothing"))
    with pytest.raises(ValueError, match=r"theirs\.json is a tokenizer that cannot encode every text \(.*\): choose"):
        adopt(tmp_path, backend)


@pytest.mark.parametrize("content", ["{}", "[]", '{"model": null}'])
def test_a_file_without_a_model_is_refused_as_such(tmp_path: Path, content: str) -> None:
    (tmp_path / "theirs.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"theirs\.json is not a tokenizer file: it has no model"):
        Tokenizer.adopt(tmp_path / "theirs.json")


def test_gaps_in_the_numbering_are_part_of_the_vocabulary(tmp_path: Path) -> None:
    described = json.loads(adopt(tmp_path, REPAIRED["byte-level pairs"]()).to_json())
    vocabulary = described["model"]["vocab"]
    vocabulary["!"] = 5000
    described["added_tokens"] = []
    tokenizer = adopt(tmp_path, tokenizers.Tokenizer.from_str(json.dumps(described)))
    assert tokenizer.encode("!") == [5000]
    assert tokenizer.vocabulary.size > 5000
    assert tokenizer.bytes_of_tokens().shape == (tokenizer.vocabulary.size,)
    assert tokenizer.decode(np_ids(CorpusEncoder(tokenizer).encode([TEXT])[0])) == TEXT


def np_ids(encoded: bytes) -> list[int]:
    return [int.from_bytes(encoded[index : index + 2], "little") for index in range(0, len(encoded), 2)]


def made_elsewhere(path: Path, special_tokens: list[str]) -> ExistingConfig:
    """A byte-level tokenizer as others train it, which cuts long texts."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special_tokens, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    backend.train_from_iterator(KNOWN, trainer)
    backend.enable_truncation(4)
    backend.save(str(path))
    return ExistingConfig(kind="existing", path=str(path))


def test_an_existing_tokenizer_is_taken_as_it_is_without_its_limits(tmp_path: Path) -> None:
    config = made_elsewhere(tmp_path / "theirs.json", ["<s>", "<pad>", "</s>", "<mask>"])
    tokenizer = train_tokenizer([], config)
    vocabulary = tokenizer.vocabulary
    assert (vocabulary.padding_id, vocabulary.end_of_text_id, vocabulary.mask_id) == (1, 2, 3)
    text = "Don't stop: ünïcödé 中文, and much more than four tokens."
    assert tokenizer.decode(tokenizer.encode(text)) == text
    theirs = tokenizers.Tokenizer.from_file(config.path)
    theirs.no_truncation()
    assert tokenizer.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_special_tokens_that_it_lacks_are_added_after_its_own(tmp_path: Path) -> None:
    config = made_elsewhere(tmp_path / "theirs.json", ["</s>"])
    tokenizer = train_tokenizer([], config)
    size = tokenizers.Tokenizer.from_file(config.path).get_vocab_size()
    assert tokenizer.vocabulary.end_of_text_id == 0
    assert {tokenizer.vocabulary.padding_id, tokenizer.vocabulary.mask_id} == {size, size + 1}
    assert tokenizer.vocabulary.size == size + 2
    assert Tokenizer.from_json(tokenizer.to_json()).vocabulary == tokenizer.vocabulary


def test_what_is_no_tokenizer_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    with pytest.raises(FileNotFoundError, match=r"theirs\.json"):
        train_tokenizer([], ExistingConfig(kind="existing", path=str(path)))
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"theirs.json is not a tokenizer file: "):
        train_tokenizer([], ExistingConfig(kind="existing", path=str(path)))
