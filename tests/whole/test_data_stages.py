import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmcore.config.tokenize import BytePairConfig, SplitFractions, TokenizeConfig
from lmcore.runtime.files import folder_digest
from lmcore.text.documents.shards import read_documents
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tasks.clean import clean_documents
from tasks.collect import collect_documents, refresh_lock
from tasks.context.environment import Environment
from tasks.tokenize import tokenize_documents
from tests.lmcore.text.cleaning_for_tests import LENIENT, configure_cleaning
from tests.lmcore.text.sources_for_tests import configure
from tests.tasks.own_texts import TEXTS, json_lines, text_folder

CLEAN = configure_cleaning(filters=LENIENT | {"min_characters": 10, "min_words": 3})
TOKENIZE = TokenizeConfig(
    tokenizer=BytePairConfig(kind="byte_pair", vocabulary_size=300),
    target_separator="\n\n",
    split=SplitFractions(validation=0.2, test=0.2),
)


def run(source: dict[str, Any], project: Path) -> Path:
    raw, clean, tokens = project / "raw", project / "clean", project / "tokens"
    environment = Environment(workers=1, work_folder=project.parent / f"{project.name}-work")
    config, lock = configure(source), project.parent / f"{project.name}-sources.lock"
    refresh_lock(config, environment, lock=lock)
    collect_documents(config, environment, lock=lock, raw=raw)
    clean_documents(CLEAN, TOKENIZE.split, environment, raw=raw, clean_folder=clean)
    tokenize_documents(TOKENIZE, environment, weights={}, clean_folder=clean, tokens=tokens)
    return project


@pytest.mark.parametrize("make_source", [text_folder, json_lines])
def test_own_texts_come_back_from_their_tokens(make_source: object, tmp_path: Path) -> None:
    project = run(make_source(tmp_path / "own"), tmp_path / "project")  # type: ignore[operator]
    shards, tokenizer = TokenShards.open(project / "tokens"), Tokenizer.load(project / "tokens/tokenizer.json")
    found = []
    for split in ("train", "validation", "test"):
        text = tokenizer.decode(shards.tokens(split).tolist())
        assert text
        found += [known for known in TEXTS if known in text]
    assert sorted(found) == sorted(TEXTS)


def test_the_same_input_gives_the_same_bytes_in_another_folder(tmp_path: Path) -> None:
    digests = [
        folder_digest(run(text_folder(tmp_path / name / "own"), tmp_path / name / "project"))
        for name in ("one", "another")
    ]
    assert digests[0] == digests[1]


def test_labels_are_the_folders_and_read_errors_are_counted(tmp_path: Path) -> None:
    folder = run(text_folder(tmp_path / "folder"), tmp_path / "first")
    labels = read_documents(folder / "clean", ["label"])["label"].to_pylist()
    assert sorted(set(labels)) == ["dry", "wet"]
    lines = run(json_lines(tmp_path / "lines"), tmp_path / "second")
    assert json.loads((lines / "raw/summary.json").read_text())["read_errors_by_reason"] == {"missing_field": 1}


def test_unreadable_rows_are_in_the_ledger(tmp_path: Path) -> None:
    project = run(json_lines(tmp_path / "lines"), tmp_path / "project")
    (row,) = pq.read_table(project / "clean/ledger.parquet", filters=[("action", "=", "unreadable")]).to_pylist()
    assert (row["path"], row["line"], row["rule"]) == ("notes.jsonl", len(TEXTS) + 1, "missing_field")
    summary = json.loads((project / "clean/summary.json").read_bytes())
    assert summary["input"] == len(TEXTS) == summary["kept"] + summary["dropped"]


def test_a_missing_input_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"documents is missing: run the stage that writes it"):
        tokenize_documents(
            TOKENIZE, Environment(workers=1), weights={}, clean_folder=tmp_path, tokens=tmp_path / "tokens"
        )
