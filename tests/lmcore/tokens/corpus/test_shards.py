import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.config.tokenize import BytePairConfig, SplitFractions
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.workers import Workers
from lmcore.tokens.corpus.shards import TokenShards, write_shards
from lmcore.tokens.tokenizer.training import train_tokenizer

TEXTS = {
    "train": ["The first document.", "", "Ein zweites, schönes.", "x" * 500],
    "validation": ["Held out."],
    "test": ["Held out as well.", "<|endoftext|>"],
}
IDS = {split: [f"{split} {number}" for number in range(len(texts))] for split, texts in TEXTS.items()}
TOKENIZER = train_tokenizer(TEXTS["train"], BytePairConfig(kind="byte_pair", vocabulary_size=270))


FRACTIONS = SplitFractions(validation=0.1, test=0.1)
SCHEMA = pa.schema(
    [*((name, pa.string()) for name in ("id", "split", "source", "text", "target")), ("n_words", pa.int32())]
)


def write_documents(folder: Path, texts: dict[str, list[str]] = TEXTS) -> list[Path]:
    """Two files of documents that say where they belong."""
    rows = [
        {"id": f"{split} {number}", "split": split, "source": "some", "text": text, "target": None, "n_words": 2}
        for split, members in texts.items()
        for number, text in enumerate(members)
    ]
    files = []
    for number, part in enumerate((rows[:2], rows[2:])):
        files.append(folder / f"{number}.parquet")
        pq.write_table(pa.Table.from_pylist(part, SCHEMA), files[-1])
    return files


def write(
    folder: Path, documents: list[Path], *, n_workers: int = 1, weights: dict[str, float] | None = None
) -> dict[str, Any]:
    with Workers(n_workers) as workers:
        return write_shards(
            folder / "tokens",
            TOKENIZER,
            documents,
            FRACTIONS,
            weights=weights or {},
            cache=ArtifactCache(folder / "cache", ""),
            workers=workers,
        )


@pytest.fixture
def shards(tmp_path: Path) -> TokenShards:
    write(tmp_path, write_documents(tmp_path))
    return TokenShards.open(tmp_path / "tokens")


@pytest.mark.parametrize("split", TEXTS)
def test_each_document_is_its_tokens_and_the_end_token(shards: TokenShards, split: str) -> None:
    tokens, offsets = shards.tokens(split), shards.offsets(split)
    documents = [tokens[start:end].tolist() for start, end in pairwise(offsets)]
    assert [document.pop() for document in documents] == [TOKENIZER.vocabulary.end_of_text_id] * len(TEXTS[split])
    assert [TOKENIZER.decode(document) for document in documents] == TEXTS[split]
    assert shards.document_ids(split) == IDS[split]
    assert shards.n_bytes(split).tolist() == [len(text.encode()) for text in TEXTS[split]]
    assert shards.n_characters(split).tolist() == [len(text) for text in TEXTS[split]]


def test_tokens_are_mapped_into_memory(shards: TokenShards) -> None:
    tokens = shards.tokens("train")
    assert isinstance(tokens, np.memmap)
    assert tokens.dtype == np.dtype("<u2")
    assert shards.vocabulary_size == TOKENIZER.vocabulary.size


def test_the_index_says_where_each_document_starts(shards: TokenShards, tmp_path: Path) -> None:
    index = pq.read_table(tmp_path / "tokens/index.parquet").to_pylist()
    assert [row["id"] for row in index] == [identity for split in TEXTS for identity in IDS[split]]
    for row in index:
        tokens = shards.tokens(row["split"])[row["offset"] : row["offset"] + row["n_tokens"]]
        text = TEXTS[row["split"]][IDS[row["split"]].index(row["id"])]
        assert TOKENIZER.decode(tokens.tolist()) == text


def test_the_summary_counts_what_is_there(tmp_path: Path) -> None:
    summary = write(tmp_path, write_documents(tmp_path))
    for split, texts in TEXTS.items():
        size = summary["splits"][split]
        assert size["n_tokens"] * 2 == (tmp_path / f"tokens/{split}.bin").stat().st_size
        assert size["n_characters"] == sum(map(len, texts))
        assert size["n_bytes"] == sum(len(text.encode()) for text in texts)
        assert size["n_documents"] == len(texts)
    assert json.loads((tmp_path / "tokens/summary.json").read_bytes()) == summary


def test_a_split_without_documents_is_an_error_that_gives_the_counts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the split test has no documents \(train 4, validation 1, test 0\)"):
        write(tmp_path, write_documents(tmp_path, {**TEXTS, "test": []}))
    assert not (tmp_path / "tokens").exists()


def test_a_shard_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, write_documents(tmp_path))
    with (tmp_path / "tokens/test.bin").open("ab") as shard:
        shard.write(b"\0\0")
    with pytest.raises(ValueError, match=r"test.bin does not hold the \d+ tokens of its index"):
        TokenShards.open(tmp_path / "tokens")


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        folder.mkdir()
        write(folder, write_documents(folder), n_workers=n_workers)
        contents.append({file.name: file.read_bytes() for file in (folder / "tokens").iterdir()})
    assert contents[0] == contents[1]


def test_only_documents_that_are_new_are_encoded_again(tmp_path: Path) -> None:
    files = write_documents(tmp_path)
    write(tmp_path, files)
    before = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()}
    more = tmp_path / "more.parquet"
    pq.write_table(pa.Table.from_pylist([{"id": "x", "split": "test", "text": "Added.", "n_words": 1}], SCHEMA), more)
    summary = write(tmp_path, [*files, more])
    after = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()}
    assert summary["splits"]["test"]["n_documents"] == len(TEXTS["test"]) + 1
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()


def test_a_target_follows_its_text_if_there_is_a_separator(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"{split} {number}",
            "split": split,
            "source": "s",
            "text": "Two plus two?",
            "target": target,
            "n_words": 4,
        }
        for split in TEXTS
        for number, target in enumerate(["Four, of course.", None, ""])
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "0.parquet")
    documents, expected = [tmp_path / "0.parquet"], {}
    for separator in (None, "\n=>\n", None):
        with Workers(1) as workers:
            summary = write_shards(
                tmp_path / "tokens",
                TOKENIZER,
                documents,
                FRACTIONS,
                weights={},
                cache=ArtifactCache(tmp_path / "cache", ""),
                workers=workers,
                target_separator=separator,
            )
        texts = ["Two plus two?"] * 3
        if separator:
            texts = [f"Two plus two?{separator}Four, of course.", "Two plus two?", f"Two plus two?{separator}"]
        shards = TokenShards.open(tmp_path / "tokens")
        for split in TEXTS:
            offsets, tokens = shards.offsets(split), shards.tokens(split)
            found = [TOKENIZER.decode(tokens[start:end].tolist()) for start, end in pairwise(offsets)]
            assert found == texts
            assert shards.n_bytes(split).tolist() == [len(text.encode()) for text in texts]
        assert summary["splits"]["test"]["n_words"] == (15 if separator else 12)
        expected.setdefault(separator, (tmp_path / "tokens" / "train.bin").read_bytes())
        assert (tmp_path / "tokens" / "train.bin").read_bytes() == expected[separator]
