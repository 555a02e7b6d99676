import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmcore.config.collect import CollectConfig
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import RAW_SCHEMA
from lmcore.text.documents.shards import read_documents, shards_of
from lmcore.text.sources.collect import collect
from lmcore.text.sources.scan import scan_sources
from tests.lmcore.text.sources_for_tests import DOCUMENTATION, RECORDS, configure, local


def run(folder: Path, config: CollectConfig, *, n_workers: int = 1) -> dict[str, Any]:
    with Workers(n_workers) as workers:
        sources = scan_sources(config.sources, folder / "downloads", workers)
        return collect(config, sources, folder / "raw", cache=ArtifactCache(folder / "cache", ""), workers=workers)


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = local("rows", write_rows(tmp_path / "rows.jsonl", {"text": "one"}, {"text": "two"}), RECORDS)
    for n_workers in (1, 2):
        run(tmp_path / str(n_workers), configure(DOCUMENTATION, rows), n_workers=n_workers)
    assert contents(tmp_path / "1/raw") == contents(tmp_path / "2/raw")


def test_documents_are_sorted_by_path_and_line(tmp_path: Path) -> None:
    run(tmp_path, configure(DOCUMENTATION))
    table = read_documents(tmp_path / "raw")
    assert table.schema == RAW_SCHEMA
    keys = [(row["path"], row["line"]) for row in table.select(["path", "line"]).to_pylist()]
    assert keys == sorted(keys)
    assert set(table["package"].to_pylist()) == {"ftfy", "rich"}


def test_nothing_collected_contains_a_path_of_this_machine(tmp_path: Path) -> None:
    run(tmp_path, configure(DOCUMENTATION))
    kept = read_documents(tmp_path / "raw").drop_columns("text").to_pylist()
    found = json.dumps(kept) + (tmp_path / "raw/summary.json").read_text()
    assert sys.prefix not in found
    assert sys.base_prefix not in found


def test_the_summary_adds_up(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", {"text": "é"}, {"text": " "}, {"other": "x"}, {"text": "abc"})
    summary = run(tmp_path, configure(DOCUMENTATION, local("rows", path, RECORDS)))
    assert summary == json.loads((tmp_path / "raw/summary.json").read_bytes())
    assert summary["sources"]["rows"]["documents"] == 2
    assert summary["sources"]["rows"]["bytes"] == 5
    assert summary["read_errors_by_reason"] == {"empty_text": 1, "missing_field": 1}
    read_errors = pq.read_table(tmp_path / "raw/read_errors.parquet").select(["source", "path", "line"]).to_pylist()
    assert [tuple(read_error.values()) for read_error in read_errors] == [
        ("rows", "rows.jsonl", 2),
        ("rows", "rows.jsonl", 3),
    ]
    assert summary["documents"] == sum(source["documents"] for source in summary["sources"].values())
    assert summary["documents"] == len(read_documents(tmp_path / "raw"))
    labels = summary["sources"]["docs"]["labels"]
    assert summary["sources"]["docs"]["documents"] == sum(label["documents"] for label in labels.values())


def test_a_new_file_leaves_what_was_read_of_the_others(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for number in range(300):
        (own / f"{number:03}.txt").write_text(f"{number} " * 8_000)
    config = configure(local("own", own, {"kind": "whole_files", "encoding": None, "divide": None}))
    run(tmp_path, config)
    before = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()}
    (own / "150b.txt").write_text("A new file in their midst.")
    assert run(tmp_path, config)["documents"] == 301
    after = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()}
    assert len(before) > 2
    assert len(before.keys() - after.keys()) == 1
    assert all(before[name] == after[name] for name in before.keys() & after.keys())


def test_a_source_without_usable_documents_is_an_error_that_shows_the_first_read_error(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", {"text": 1}, {"text": None})
    with pytest.raises(ValueError, match=r"'rows' has no usable document \(2 read errors; the first: rows.jsonl, "):
        run(tmp_path, configure(local("rows", path, RECORDS)))
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("reader", [RECORDS, {"kind": "whole_files", "encoding": None, "divide": None}])
def test_a_missing_source_is_named_before_anything_is_read(reader: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        run(tmp_path, configure(DOCUMENTATION, local("gone", "nowhere", reader)))
    assert not (tmp_path / "cache").exists()


def test_many_documents_make_several_shards_in_their_order(tmp_path: Path) -> None:
    texts = [f"{number} " * 100_000 for number in range(60)]
    path = write_rows(tmp_path / "rows.jsonl", *({"text": text} for text in texts))
    run(tmp_path, configure(local("rows", path, RECORDS)))
    assert len(shards_of(tmp_path / "raw")) > 1
    assert read_documents(tmp_path / "raw", ["text"])["text"].to_pylist() == texts


def test_collecting_is_light() -> None:
    code = "import sys, tasks.collect, flows.collect; print({'torch', 'spacy', 'mlflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_what_is_decided_about_files_is_logged_and_stays_in_the_summary(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.csv").write_bytes("label;text\nham;Größe, Länge und Höhe\n".encode("latin-1"))
    rows = RECORDS | {"label": "label", "name": None}
    write_rows(tmp_path / "b.jsonl", {"text": "one", "lable": "a"})
    config = configure(local("table", tmp_path / "a.csv", rows), local("rows", tmp_path / "b.jsonl", rows))
    with caplog.at_level("INFO"):
        summary = run(tmp_path, config)
    assert [(record.levelname, record.getMessage()) for record in caplog.records if "file" in record.getMessage()] == [
        ("INFO", "table: 1 file read as a table with ';' between the values"),
        ("INFO", "table: 1 file read as windows-1252 (detected, 0.91)"),
        ("WARNING", "rows: 1 file without 'label' in any row; the first row has 'text', 'lable'"),
    ]
    assert summary["sources"]["table"]["notes"]["read as windows-1252"] == {
        "files": 1,
        "confidence": 0.91,
        "is_warning": False,
    }
