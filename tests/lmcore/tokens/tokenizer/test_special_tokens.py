"""What precedes, follows and pads a text is read from the files beside a tokenizer, and stays with the tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from lmcore.tokens.tokenizer.tokenizer import Tokenizer

NAMES = ["<bos>", "<eos>", "<eot>", "<|pad-it|>", "<unk>"]


def write_tokenizer(folder: Path, **files: dict[str, Any]) -> Path:
    """A byte-level tokenizer with unusual special tokens, and files of a model beside it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: identity for identity, token in enumerate([*NAMES, *alphabet])}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    backend.add_special_tokens(NAMES)
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder / "tokenizer.json"


def special_names(tokenizer: Tokenizer) -> list[str]:
    vocabulary = tokenizer.vocabulary
    return [
        tokenizer.name_of(identity)
        for identity in (vocabulary.start_id, vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id)
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "config": {"model_type": "llama", "bos_token_id": 1, "eos_token_id": 1},
                "tokenizer_config": {
                    "bos_token": {"content": "<bos>", "lstrip": False},
                    "eos_token": "<eot>",
                    "pad_token": "<|pad-it|>",
                },
            },
            ["<bos>", "<eot>", "<|pad-it|>", "<|mask|>"],
        ),
        (
            {"config": {"model_type": "llama", "bos_token_id": 0, "eos_token_id": [2, 1], "pad_token_id": -1}},
            ["<bos>", "<eot>", "<|padding|>", "<|mask|>"],
        ),
        (
            {
                "config": {"model_type": "llama", "eos_token_id": 1},
                "generation_config": {"eos_token_id": 2, "pad_token_id": 2},
            },
            ["<eot>", "<eot>", "<|padding|>", "<|mask|>"],
        ),
        ({"config": {"model_type": "llama", "pad_token_id": 4}}, ["<eos>", "<eos>", "<unk>", "<|mask|>"]),
        ({"config": {"version": 2, "eos_token_id": 2}}, ["<eos>", "<eos>", "<|padding|>", "<|mask|>"]),
    ],
)
def test_special_tokens_are_those_that_the_files_name(
    tmp_path: Path, files: dict[str, dict[str, Any]], expected: list[str]
) -> None:
    tokenizer = Tokenizer.adopt(write_tokenizer(tmp_path / "theirs", **files))
    assert special_names(tokenizer) == expected
    tokenizer.save(tmp_path / "ours" / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "ours" / "tokenizer.json")
    assert loaded.vocabulary == tokenizer.vocabulary
    (tmp_path / "ours" / "config.json").write_text('{"version": 2, "model": {}}')
    adopted_again = Tokenizer.adopt(tmp_path / "ours" / "tokenizer.json")
    assert loaded.to_json() == tokenizer.to_json() == adopted_again.to_json()
    for text in ("a text", "<bos> and <eot>", "<|pad-it|>"):
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.decode(loaded.encode(text)) == text
        assert not set(loaded.encode(text)) & set(loaded.vocabulary.special_ids)
    assert [len(tokens) for tokens in loaded.encode_batch(["a", "four"])] == [1, 4]


def test_the_tokenizer_of_a_model_gets_no_bytes_that_the_model_has_no_embeddings_for(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "theirs", config={"model_type": "llama", "eos_token_id": 1})
    described = json.loads(path.read_text())
    described["model"]["vocab"].pop("Ń")
    path.write_text(json.dumps(described))
    n_tokens = tokenizers.Tokenizer.from_file(str(path)).get_vocab_size()
    assert Tokenizer.adopt(path).n_own_tokens == n_tokens
    (path.parent / "config.json").unlink()
    assert Tokenizer.adopt(path).vocabulary.size > n_tokens + 2


def test_what_the_post_processor_puts_around_a_text_surrounds_a_document(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "theirs")
    backend = tokenizers.Tokenizer.from_file(str(path))
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eot>", special_tokens=[("<bos>", 0), ("<eot>", 2)]
    )
    backend.save(str(path))
    assert special_names(Tokenizer.adopt(path))[:2] == ["<bos>", "<eot>"]


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_file_beside_it_is_named(tmp_path: Path, content: str) -> None:
    path = write_tokenizer(tmp_path / "theirs", config={"model_type": "llama"})
    (path.parent / "tokenizer_config.json").write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer_config\.json is not"):
        Tokenizer.adopt(path)
