from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmcore.tokens.corpus.shards import TokenShards
from tests.lmcore.tokens.corpus.test_shards import SCHEMA, TOKENIZER, write


@pytest.mark.parametrize(("weight", "most", "least"), [(3.0, 3, 3), (2.25, 3, 2), (0.4, 1, 0)])
def test_training_documents_are_repeated_by_the_weight_of_their_source(
    tmp_path: Path, weight: float, most: int, least: int
) -> None:
    rows = [
        {
            "id": f"{source} {number}",
            "split": "train",
            "source": source,
            "text": f"Text {number}.",
            "target": None,
            "n_words": 2,
        }
        for source in ("heavy", "plain")
        for number in range(400)
    ]
    held_out = [rows[0] | {"id": f"held {split}", "split": split} for split in ("validation", "test")]
    files = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    pq.write_table(pa.Table.from_pylist([*rows[:300], *held_out], SCHEMA), files[0])
    pq.write_table(pa.Table.from_pylist(rows[300:], SCHEMA), files[1])
    summary = write(tmp_path, files, weights={"heavy": weight})
    shards = TokenShards.open(tmp_path / "tokens")
    ids = shards.document_ids("train")
    counts = Counter(ids)
    copies = [counts[f"heavy {number}"] for number in range(400)]
    assert (max(copies), min(copies)) == (most, least)
    assert sum(copies) / 400 == pytest.approx(weight, abs=0.1)
    assert all(counts[f"plain {number}"] == 1 for number in range(400))
    assert summary["splits"]["train"]["n_documents"] == len(ids)
    assert summary["splits"]["test"]["n_documents"] == 1
    tokens, offsets = shards.tokens("train"), shards.offsets("train")
    texts = {row["id"]: row["text"] for row in rows}
    for identity, start, end in zip(ids, offsets, offsets[1:], strict=False):
        assert TOKENIZER.decode(tokens[start : end - 1].tolist()) == texts[identity]
    # The second copies follow all first ones.
    assert all(identity not in ids[:index] for index, identity in enumerate(ids[: len(counts)]))
