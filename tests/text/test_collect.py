import json
import subprocess
import sys
from pathlib import Path

import pytest

from lmcore.text.collect import collect, summarize
from lmcore.text.config import CollectConfig, InstalledDocumentation, Records, Source, TextFolder
from lmcore.text.documents import RAW_SCHEMA, to_table, write_table

DOCUMENTATION = InstalledDocumentation(
    kind="installed_documentation", name="docs", packages=("rich", "ftfy"), skipped=("tests",)
)


def records(path: Path) -> Records:
    return Records(
        kind="records",
        name="rows",
        path=path,
        text_field="text",
        label_field=None,
        target_field=None,
        name_field=None,
        split=None,
    )


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    sources = (DOCUMENTATION, records(write_rows(tmp_path / "rows.jsonl", {"text": "one"}, {"text": "two"})))
    for n_workers in (1, 2):
        reading = collect(CollectConfig(sources=sources), n_workers=n_workers)
        write_table(tmp_path / f"{n_workers}.parquet", to_table(reading.documents))
        (tmp_path / f"{n_workers}.json").write_text(json.dumps(summarize(reading)))
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_documents_are_sorted_by_package_path_and_line() -> None:
    documents = collect(CollectConfig(sources=(DOCUMENTATION,)), n_workers=1).documents
    keys = [(document.package, document.path, document.line) for document in documents]
    assert keys == sorted(keys)
    assert {document.package for document in documents} == {"ftfy", "rich"}


def test_nothing_collected_names_a_place_on_this_machine() -> None:
    reading = collect(CollectConfig(sources=(DOCUMENTATION,)), n_workers=1)
    kept = json.dumps([to_table(reading.documents).drop_columns("text").to_pylist(), summarize(reading)])
    assert sys.prefix not in kept
    assert sys.base_prefix not in kept


def test_the_summary_adds_up(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", {"text": "é"}, {"text": " "}, {"other": "x"}, {"text": "abc"})
    summary = summarize(collect(CollectConfig(sources=(DOCUMENTATION, records(path))), n_workers=1))
    assert summary["sources"]["rows"]["documents"] == 2
    assert summary["sources"]["rows"]["bytes"] == 5
    assert summary["faults_by_reason"] == {"empty_text": 1, "missing_field": 1}
    assert summary["documents"] == sum(source["documents"] for source in summary["sources"].values())
    labels = summary["sources"]["docs"]["labels"]
    assert summary["sources"]["docs"]["documents"] == sum(label["documents"] for label in labels.values())


def test_a_source_without_usable_documents_is_an_error_that_shows_the_first_fault(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", {"text": 1}, {"text": None})
    with pytest.raises(ValueError, match=r"'rows' holds no usable document \(2 faults; first fault: rows.jsonl, "):
        collect(CollectConfig(sources=(records(path),)), n_workers=1)


@pytest.mark.parametrize(
    "source",
    [
        records(Path("nowhere.jsonl")),
        TextFolder(kind="text_folder", name="notes", path=Path("nowhere"), pattern="*.txt", split=None),
    ],
)
def test_a_missing_source_is_named_before_anything_is_read(source: Source) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        collect(CollectConfig(sources=(DOCUMENTATION, source)), n_workers=1)


def test_the_table_keeps_order_and_types() -> None:
    documents = collect(CollectConfig(sources=(DOCUMENTATION,)), n_workers=1).documents
    table = to_table(documents)
    assert table.schema == RAW_SCHEMA
    assert table["text"].to_pylist() == [document.text for document in documents]
    assert to_table([]).schema == RAW_SCHEMA


def test_collecting_is_light() -> None:
    code = "import sys, tasks.collect, flows.collect; print({'torch', 'spacy', 'prefect', 'mlflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
