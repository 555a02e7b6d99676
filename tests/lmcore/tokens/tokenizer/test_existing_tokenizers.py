"""Existing tokenizers as users configure them: taken over with their special tokens, or refused."""

from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from lmcore.config.tokenize import ExistingConfig
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer

TEXTS = ["Don't stop, they said.", "They said (twice): stop!"]


def made_elsewhere(path: Path, special_tokens: list[str]) -> ExistingConfig:
    """A byte-level tokenizer as others train it, which cuts long texts."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special_tokens, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    backend.train_from_iterator(TEXTS, trainer)
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
