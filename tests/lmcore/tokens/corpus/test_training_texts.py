from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.tokens.corpus.training_texts import TrainingTexts
from tests.lmcore.tokens.corpus.test_shards import FRACTIONS, SCHEMA


def test_a_tokenizer_is_trained_on_training_documents_and_their_targets(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "split": "train", "text": "text", "target": "target"},
        {"id": "b", "split": "test", "text": "held out", "target": "as well"},
        {"id": "c", "split": "train", "text": "alone", "target": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "0.parquet")
    texts = TrainingTexts([tmp_path / "0.parquet"], FRACTIONS)
    assert list(texts) == ["text", "target", "alone"] == list(texts)
