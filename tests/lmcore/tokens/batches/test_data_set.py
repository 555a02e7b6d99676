from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from lmcore.text.documents.document import CLEAN_SCHEMA
from lmcore.tokens.batches.data_set import token_data_set
from lmcore.tokens.corpus.shards import TokenShards
from tests.lmcore.tokens.corpus.test_shards import IDS, TEXTS, TOKENIZER, write, write_documents


@pytest.mark.parametrize("split", TEXTS)
def test_token_shards_are_a_data_set(tmp_path: Path, split: str) -> None:
    write(tmp_path, write_documents(tmp_path))
    data = token_data_set(tmp_path / "tokens", split)
    rows, shards = list(data), TokenShards.open(tmp_path / "tokens")
    assert [row["id"] for row in rows] == IDS[split]
    assert [row["input_ids"] for row in rows] == [
        [*TOKENIZER.encode(text), shards.end_of_text_id] for text in TEXTS[split]
    ]
    assert sum(len(row["input_ids"]) for row in rows) == len(shards.tokens(split))


def test_shards_that_are_not_whole_are_refused_before_any_row(tmp_path: Path) -> None:
    write(tmp_path, write_documents(tmp_path))
    with (tmp_path / "tokens/train.bin").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="tokenize again"):
        token_data_set(tmp_path / "tokens", "train")
    with pytest.raises(ValueError, match="no split 'dev': choose train, validation or test"):
        token_data_set(tmp_path / "tokens", "dev")


def test_cleaned_documents_are_a_data_set_in_one_line(tmp_path: Path) -> None:
    row = {field.name: None if field.nullable else "x" for field in CLEAN_SCHEMA}
    row |= {"n_bytes": 1, "n_words": 1, "token_ends": [1], "sentence_ends": [1], "text": "A text."}
    row["entities"] = [{"start": 0, "end": 1, "label": "ORG"}]
    (tmp_path / "documents").mkdir()
    for number in range(2):
        pq.write_table(
            CLEAN_SCHEMA.empty_table().from_pylist([row], CLEAN_SCHEMA), tmp_path / f"documents/{number}.parquet"
        )
    files = f"{tmp_path}/documents/*.parquet"
    data = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert data["text"][:] == ["A text.", "A text."]
    assert data[0]["entities"] == row["entities"]
