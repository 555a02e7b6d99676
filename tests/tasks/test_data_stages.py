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
from tests.lmcore.text.sources.servers import File, serving
from tests.lmcore.text.sources_for_tests import RECORDS, configure, local

TEXTS = [f"Notes of day {number}.\n\nIt rained, {number % 5} times, and then it stopped." for number in range(60)]
CLEAN = configure_cleaning(filters=LENIENT | {"min_characters": 10, "min_words": 3})
TOKENIZE = TokenizeConfig(
    tokenizer=BytePairConfig(kind="byte_pair", vocabulary_size=300),
    target_separator="\n\n",
    split=SplitFractions(validation=0.2, test=0.2),
)


RECORDS_WITH_LABELS = RECORDS | {"text": "content", "label": "weather"}


def text_folder(folder: Path) -> dict[str, Any]:
    for number, text in enumerate(TEXTS):
        path = folder / ("wet" if number % 5 else "dry") / f"{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return local("notes", folder, {"kind": "whole_files", "encoding": None, "divide": None})


def json_lines(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    path = folder / "notes.jsonl"
    rows = [{"content": text, "weather": "wet"} for text in TEXTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"nothing": "here"}]))
    return local("notes", path, RECORDS_WITH_LABELS)


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


def test_labels_are_the_folders_and_faults_are_counted(tmp_path: Path) -> None:
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


def test_a_source_that_is_not_what_is_pinned_is_an_error_that_says_how_to_accept_it(tmp_path: Path) -> None:
    config = configure(text_folder(tmp_path / "own"))
    environment, lock = Environment(workers=1, work_folder=tmp_path / "work"), tmp_path / "sources.lock"
    (change,) = refresh_lock(config, environment, lock=lock)
    assert change == "notes: source is new (60 files, 0.0 MB)"
    assert refresh_lock(config, environment, lock=lock) == []
    collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    before = folder_digest(tmp_path / "raw")
    (tmp_path / "own/dry/00.txt").write_text("Other notes, of the same day, though.")
    (tmp_path / "own/dry/05.txt").unlink()
    with pytest.raises(
        ValueError,
        match=r"'notes' differs from sources.lock: dry/00.txt .*; dry/05.txt is gone .*\n.*flows.refresh",
    ):
        collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    assert folder_digest(tmp_path / "raw") == before
    changes = refresh_lock(config, environment, lock=lock)
    assert [change.split(" (")[0] for change in changes] == [
        "notes: dry/00.txt has changed",
        "notes: dry/05.txt is gone",
    ]
    collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    assert folder_digest(tmp_path / "raw") != before


def test_only_a_refresh_sees_another_version_at_an_address(tmp_path: Path) -> None:
    with serving() as server:
        server.files["/notes.txt"] = File(b"It rained.\nIt stopped.\n", etag='"1"')
        location = {"kind": "urls", "files": [{"url": server.url("/notes.txt"), "sha256": None}], "max_bytes": 999}
        config = configure(
            local("web", "", {"kind": "lines", "label": None, "encoding": None}) | {"location": location}
        )
        environment, lock = Environment(workers=1, work_folder=tmp_path / "work"), tmp_path / "sources.lock"

        def collected() -> list[str]:
            collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
            texts: list[str] = read_documents(tmp_path / "raw", ["text"])["text"].to_pylist()
            return texts

        refresh_lock(config, environment, lock=lock)
        assert collected() == ["It rained.", "It stopped."]
        server.files["/notes.txt"] = File(b"It rained again.\n", etag='"2"')
        assert collected() == ["It rained.", "It stopped."]
        assert refresh_lock(config, environment, lock=lock) == ["web: notes.txt has changed (23 bytes, now 17)"]
        assert collected() == ["It rained again."]
        assert refresh_lock(config, environment, lock=lock) == []


def test_strict_reading_ends_at_the_first_row_that_cannot_be_used(tmp_path: Path) -> None:
    config = configure(json_lines(tmp_path / "own"), strict=True)
    environment, lock = Environment(workers=1, work_folder=tmp_path / "work"), tmp_path / "sources.lock"
    refresh_lock(config, environment, lock=lock)
    with pytest.raises(ValueError, match=r"notes.jsonl, line 61: missing_field: .* \(collect.strict is true"):
        collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_missing_input_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"documents is missing: run the stage that writes it"):
        tokenize_documents(
            TOKENIZE, Environment(workers=1), weights={}, clean_folder=tmp_path, tokens=tmp_path / "tokens"
        )
