"""Documents are the same after they were written to shards and read again, in their order."""

from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pytest

from lmcore.text.documents.document import RAW_SCHEMA, READ_ERROR_SCHEMA, Document, ReadError, is_unicode, to_table
from lmcore.text.documents.shards import (
    BYTES_PER_SHARD,
    ShardWriter,
    batches_of,
    concatenate,
    link_shards,
    read_documents,
    shards_of,
)

DOCUMENT = Document("Text 0", "label", "source", "package", "a/b.py", "b", "module", 1, "1.0", "MIT", "target", "test")


def numbered(n_documents: int, text: str = "Text") -> list[Document]:
    return [replace(DOCUMENT, text=f"{text} {number}") for number in range(n_documents)]


def write(folder: Path, documents: list[Document]) -> Path:
    folder.mkdir()
    with ShardWriter(folder) as shards:
        for document in documents:
            shards.add(document)
    return folder


def test_documents_come_back_in_their_order(tmp_path: Path) -> None:
    documents = [*numbered(20), replace(DOCUMENT, label=None, line=None, target=None, split=None)]
    documents += [replace(DOCUMENT, label=None, labels=("a", "b"), messages="[]", rejected="worse")]
    assert read_documents(write(tmp_path / "a", documents)).to_pylist() == list(map(_as_row, documents))


def _as_row(document: Document) -> dict[str, object]:
    return asdict(document) | {"labels": document.labels and list(document.labels)}


def test_a_shard_ends_when_it_is_full_and_links_keep_the_order(tmp_path: Path) -> None:
    documents = numbered(5, "x" * (BYTES_PER_SHARD // 2))
    first, second = write(tmp_path / "a", documents), write(tmp_path / "b", numbered(3))
    assert len(shards_of(first)) == 3
    (tmp_path / "both").mkdir()
    link_shards([second, first], tmp_path / "both")
    texts = read_documents(tmp_path / "both", ["text"])["text"].to_pylist()
    assert texts == [document.text for document in (*numbered(3), *documents)]
    batches = list(batches_of(shards_of(tmp_path / "both"), ["text"]))
    assert sum(len(batch) for batch in batches) == len(texts)


def test_a_folder_without_documents_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/documents is missing"):
        shards_of(tmp_path)


def test_an_error_leaves_no_shard_of_what_came_before_it(tmp_path: Path) -> None:
    def fail() -> None:
        with ShardWriter(tmp_path) as shards:
            shards.add(DOCUMENT)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert list((tmp_path / "documents").iterdir()) == []


def test_tables_of_nothing_have_their_columns(tmp_path: Path) -> None:
    assert to_table([], RAW_SCHEMA).schema == RAW_SCHEMA
    errors = [ReadError("source", "a.txt", 3, "too_long", "the line")]
    concatenate(
        [to_table([], READ_ERROR_SCHEMA), to_table(errors, READ_ERROR_SCHEMA)], tmp_path / "a", READ_ERROR_SCHEMA
    )
    assert pa.parquet.read_table(tmp_path / "a").to_pylist() == list(map(asdict, errors))


def test_lone_surrogates_are_not_unicode() -> None:
    assert is_unicode("ä 🙂")
    assert not is_unicode("\ud83d")
