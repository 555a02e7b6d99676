from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.tokens.config import BytePairConfig
from lmcore.tokens.learning import learn_tokenizer
from lmcore.tokens.shards import TokenShards, write_shards

TEXTS = {
    "train": ["The first document.", "", "Ein zweites, schönes.", "x" * 500],
    "validation": ["Held out."],
    "test": ["Held out as well.", "<|endoftext|>"],
}
IDS = {split: [f"{split} {number}" for number in range(len(texts))] for split, texts in TEXTS.items()}
SPLITS = {split: pa.table({"id": IDS[split], "text": TEXTS[split]}) for split in TEXTS}
TOKENIZER = learn_tokenizer(TEXTS["train"], BytePairConfig(kind="byte_pair", vocabulary_size=270))


@pytest.fixture
def shards(tmp_path: Path) -> TokenShards:
    write_shards(tmp_path, TOKENIZER, SPLITS)
    return TokenShards.open(tmp_path)


@pytest.mark.parametrize("split", TEXTS)
def test_each_document_is_its_tokens_and_the_end_token(shards: TokenShards, split: str) -> None:
    tokens, offsets = shards.tokens(split), shards.offsets(split)
    documents = [tokens[start:end].tolist() for start, end in pairwise(offsets)]
    assert [document.pop() for document in documents] == [TOKENIZER.vocabulary.end_of_text_id] * len(TEXTS[split])
    assert [TOKENIZER.decode(document) for document in documents] == TEXTS[split]
    assert shards.document_ids(split) == IDS[split]
    assert shards.n_bytes(split).tolist() == [len(text.encode()) for text in TEXTS[split]]


def test_tokens_are_mapped_into_memory(shards: TokenShards) -> None:
    tokens = shards.tokens("train")
    assert isinstance(tokens, np.memmap)
    assert tokens.dtype == np.dtype("<u2")
    assert shards.vocabulary_size == TOKENIZER.vocabulary.size


def test_the_index_says_where_each_document_stands(shards: TokenShards, tmp_path: Path) -> None:
    index = pq.read_table(tmp_path / "index.parquet").to_pylist()
    assert [row["id"] for row in index] == [identity for split in TEXTS for identity in IDS[split]]
    for row in index:
        tokens = shards.tokens(row["split"])[row["offset"] : row["offset"] + row["n_tokens"]]
        text = TEXTS[row["split"]][IDS[row["split"]].index(row["id"])]
        assert TOKENIZER.decode(tokens.tolist()) == text


def test_the_summary_counts_what_is_there(tmp_path: Path) -> None:
    summary = write_shards(tmp_path, TOKENIZER, SPLITS)
    for split, texts in TEXTS.items():
        size = summary["splits"][split]
        assert size["n_tokens"] * 2 == (tmp_path / f"{split}.bin").stat().st_size
        assert size["n_characters"] == sum(map(len, texts))
        assert size["n_documents"] == len(texts)


def test_a_split_without_documents_is_an_error_that_gives_the_counts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no document falls into test \(train 4, validation 1, test 0\)"):
        write_shards(tmp_path, TOKENIZER, {**SPLITS, "test": SPLITS["test"].slice(0, 0)})


def test_a_shard_of_another_size_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, TOKENIZER, SPLITS)
    with (tmp_path / "test.bin").open("ab") as shard:
        shard.write(b"\0\0")
    with pytest.raises(ValueError, match=r"test.bin does not hold the \d+ tokens its index says"):
        TokenShards.open(tmp_path)
