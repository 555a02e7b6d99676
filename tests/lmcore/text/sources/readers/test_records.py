import json
import re
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.text.sources.notes import Notes
from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, texts, write

JSON_LINES = b"""{"body": "plain", "topic": "a", "title": "first"}
{"body": "a number for a label", "topic": 3, "title": null}

{"body": "cut off
["body"]
{"topic": "a", "title": "x"}
{"body": 7, "topic": "a", "title": "x"}
{"body": "a list for a label", "topic": ["a"], "title": "x"}
{"body": "caf\xe9", "topic": "a", "title": "x"}
{"body": "half \\ud83d", "topic": "a", "title": "x"}
{"body": "  ", "topic": "a", "title": "x"}
{"body": "bad label", "topic": "caf\\ud83d", "title": "x"}
{"body": "no label", "title": "x"}
{"body": null, "topic": "a", "title": "x"}
{"body": "last, without a line end", "topic": "", "title": "x"}"""
BODY = records("body", label="topic", name="title")


def test_json_lines_with_named_fields(tmp_path: Path) -> None:
    documents, _ = read(BODY, write(tmp_path / "rows.jsonl", JSON_LINES))
    assert [(document.line, document.text, document.label, document.name) for document in documents] == [
        (1, "plain", "a", "first"),
        (2, "a number for a label", "3", None),
        (8, "a list for a label", None, "x"),
        (13, "no label", None, "x"),
        (15, "last, without a line end", None, "x"),
    ]
    assert [document.labels for document in documents] == [None, None, ("a",), None, None]
    assert {(document.kind, document.split, document.license) for document in documents} == {
        ("record", "test", "CC0-1.0")
    }


def test_each_unusable_line_is_located(tmp_path: Path) -> None:
    _, read_errors = read(BODY, write(tmp_path / "rows.ndjson", JSON_LINES))
    assert lines_and_reasons(read_errors) == [
        (4, "malformed_json"),
        (5, "not_an_object"),
        (6, "missing_field"),
        (7, "wrong_type"),
        (9, "not_unicode"),
        (10, "not_unicode"),
        (11, "empty_text"),
        (12, "not_unicode"),
        (14, "wrong_type"),
    ]
    assert {(read_error.source, read_error.path) for read_error in read_errors} == {("given", "rows.ndjson")}


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"body": ' + b"9" * 5_000 + b"}", b"\0", b"{} {}", b'{"a": tru}'])
def test_json_that_python_cannot_read_is_one_bad_line(tmp_path: Path, line: bytes) -> None:
    content = line + b'\n{"body": "x", "topic": null, "title": null}\n'
    documents, read_errors = read(BODY, write(tmp_path / "rows.jsonl", content))
    assert lines_and_reasons(read_errors) == [(1, "malformed_json")]
    assert texts(documents) == ["x"]


@pytest.mark.parametrize(
    ("value", "label"),
    [("a", "a"), (True, "true"), (False, "false"), (0, "0"), (-1.5, "-1.5"), (None, None), ("", None)],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_labels_are_strings_numbers_or_truth_values(tmp_path: Path, name: str, value: object, label: str) -> None:
    file = write(tmp_path / name, json.dumps({"text": "x", "class": value}).encode())
    ((document,), read_errors) = read(records(label="class"), file)
    assert document.label == label
    assert not read_errors


def test_fields_lie_in_objects_of_objects_unless_one_is_named_so(tmp_path: Path) -> None:
    rows = [
        {"meta": {"title": {"en": "deep"}}},
        {"meta.title.en": "named so", "meta": {"title": {"en": "deep"}}},
        {"meta": {"title": "no object"}},
        {"meta": None},
    ]
    file = write(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, rows)).encode())
    documents, read_errors = read(records("meta.title.en"), file)
    assert texts(documents) == ["deep", "named so"]
    assert lines_and_reasons(read_errors) == [(3, "missing_field"), (4, "missing_field")]


QUESTIONS = [
    {"question": "Who?", "answers": {"text": ["I", "me"], "start": [3, 5]}, "turns": [{"role": "a", "said": "Hello"}]},
    {"question": "Why?", "answers": {"text": [], "start": []}, "turns": [{"role": "a", "said": "Hi"}]},
    {"question": "When?", "answers": {"text": ["now"], "start": [1]}, "turns": []},
]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_fields_in_lists_are_named_by_their_index(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        table = pa.Table.from_pylist(QUESTIONS)
        table = table.append_column("pair", pa.array([["x", "y"]] * 3, pa.list_(pa.string(), 2)))
        pq.write_table(table, path)
    else:
        rows = [row | {"pair": ["x", "y"]} for row in QUESTIONS]
        path.write_text("\n".join(map(json.dumps, rows)) if kind == "jsonl" else json.dumps(rows))
    reader = records("{turns.0.said} {question}", label="pair.1", target="answers.text.0", name="answers.start.0")
    documents, read_errors = read(reader, path)
    assert [(each.text, each.label, each.target, each.name) for each in documents] == [
        ("Hello Who?", "y", "I", "3"),
        ("Hi Why?", "y", None, None),
        ("When?", "y", "now", "1"),
    ]
    assert not read_errors


def test_a_template_joins_fields_and_keeps_doubled_braces(tmp_path: Path) -> None:
    rows = [{"title": "T", "meta": {"body": "B"}, "n": 3}, {"title": "T", "meta": {"body": [1]}, "n": 3}, {"n": 3}, {}]
    file = write(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, rows)).encode())
    reader = records("{title}\n\n{meta.body} {{n={n}}}", label="n-{n}", target="{title}!", name="title")
    documents, read_errors = read(reader, file)
    assert [(document.text, document.label, document.target, document.name) for document in documents] == [
        ("T\n\nB {n=3}", "n-3", "T!", "T"),
        ("{n=3}", "n-3", None, None),
    ]
    assert lines_and_reasons(read_errors) == [(2, "wrong_type"), (4, "missing_field")]


@pytest.mark.parametrize("template", ["{title", "title}", "{}", "{title!r}", "{title:>9}", "{{title}}"])
def test_a_wrong_template_is_an_error_that_shows_it(tmp_path: Path, template: str) -> None:
    with pytest.raises(ValueError, match=rf"source 'given': the template {re.escape(repr(template))} "):
        read(records(template), write(tmp_path / "rows.jsonl", b'{"title": "x"}'))


def test_a_target_or_a_label_that_is_missing_null_or_blank_costs_no_row(tmp_path: Path) -> None:
    rows = [{"to": "That.", "class": "a"}, {"to": " ", "class": " "}, {"to": None, "class": None}, {}, {"to": 7}]
    file = write(tmp_path / "rows.jsonl", "\n".join(json.dumps({"text": "What?", **row}) for row in rows).encode())
    documents, read_errors = read(records(target="to", label="class", name="to"), file)
    assert [(document.target, document.label) for document in documents] == [
        ("That.", "a"),
        (None, None),
        (None, None),
        (None, None),
        ("7", None),
    ]
    assert not read_errors


@pytest.mark.parametrize("name", ["lable", "meta.lable", "{lable}", "answers.9"])
def test_a_field_that_no_row_has_is_a_warning_that_names_those_there_are(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "rows.jsonl", b'{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}\n')
    notes = Notes()
    documents, read_errors = read(records(label=name), file, notes=notes)
    assert texts(documents) == ["one", "two"]
    assert not read_errors
    ((what, note),) = notes.summary().items()
    assert what == f"without '{name.strip('{}')}' in any row; the first row has 'text', 'label'"
    assert note["is_warning"]


@pytest.mark.parametrize("n_long", [1_000, 400_000])
def test_an_object_longer_than_a_document_may_be_costs_no_other(tmp_path: Path, n_long: int) -> None:
    rows = [{"text": "x"}, {"text": "short", "other": "y" * n_long}, {"text": "z"}]
    lines, whole = "\n".join(map(json.dumps, rows)), json.dumps(rows, indent=1)
    for file in (write(tmp_path / "a.jsonl", lines.encode()), write(tmp_path / "a.json", whole.encode())):
        documents, read_errors = read(records(), file, max_document_bytes=1_000)
        assert texts(documents) == ["x", "z"]
        assert [read_error.reason for read_error in read_errors] == ["too_long"]


def test_a_value_that_is_no_object_is_one_read_error_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmcore.text.sources.rows.json_rows.BUFFER_BYTES", 1)
    documents, read_errors = read(
        records(), write(tmp_path / "rows.json", b'[12345, true, "one", {"text": "x"}, -1.5e-7]')
    )
    assert texts(documents) == ["x"]
    assert [read_error.reason for read_error in read_errors] == ["not_an_object"] * 4


def test_of_a_list_in_a_damaged_file_every_object_before_the_damage_is_kept(tmp_path: Path) -> None:
    rows = [{"text": f"row {number}"} for number in range(7_000)]
    # One object of several buffers, so that the damage lies in those that are read to find its end.
    rows.insert(1, {"text": "x" * 300_000})
    packed = zlib.compressobj(0, zlib.DEFLATED, 31)
    content = packed.compress(json.dumps(rows)[:-1].encode()) + packed.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 300
    documents, read_errors = read(records(), write(tmp_path / "rows.json.gz", content))
    assert texts(documents) == [row["text"] for row in rows]
    assert lines_and_reasons(read_errors) == [(1, "damaged_file")]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_objects_reads_as_its_lines_would(tmp_path: Path, indent: int | None) -> None:
    rows = [{"text": f"{number} {'é🙂' * number}", "more": [{"a": [1, 2]}, "}, {"]} for number in range(400)]
    documents, read_errors = read(records(), write(tmp_path / "rows.json", json.dumps(rows, indent=indent).encode()))
    assert texts(documents) == [row["text"] for row in rows]
    assert not read_errors


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"[]", []),
        (b' {"text": "one"} ', ["one"]),
        (b'{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),
        (b'\xef\xbb\xbf[\n{"text": "one"},\n{"text": "two"}\n]\n', ["one", "two"]),
    ],
)
def test_a_json_file_holds_a_list_or_one_object_or_several(tmp_path: Path, content: bytes, kept: list[str]) -> None:
    documents, read_errors = read(records(), write(tmp_path / "rows.json", content))
    assert texts(documents) == kept
    assert not read_errors


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (b'{"text": }', "malformed_json"),
        (b'{"text": "a" "b"}', "malformed_json"),
        (b'{text: "a"}', "malformed_json"),
        (b'{"text": "line\nbreak"}', "malformed_json"),
        (b'"text"', "not_an_object"),
        (b"17", "not_an_object"),
        (b'["text"]', "not_an_object"),
        (b'{"text": "caf\xe9"}', "not_unicode"),
        (b'{"text": "\\udc00"}', "not_unicode"),
        (b'{"text": ""}', "empty_text"),
        (b'{"text": 1}', "wrong_type"),
        (b'{"txt": "a"}', "missing_field"),
    ],
)
def test_what_is_wrong_within_a_list_is_located_and_costs_no_other(tmp_path: Path, middle: bytes, reason: str) -> None:
    content = b'[{"text": "one"},\n' + middle + b',\n{"text": "three"},\n{"text": "four"}]'
    documents, read_errors = read(records(), write(tmp_path / "rows.json", content))
    assert texts(documents) == ["one", "three", "four"]
    assert lines_and_reasons(read_errors) == [(2, reason)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'[{"text": "one"},\n{"text": "two"}', 2),
        (b'[{"text": "one"}, {"text": "two"},\n', 2),
        (b'[{"text": "one"},\n{"text": "two"},\n{"text": "thr', 3),
        (b'[{"text": "one"},\n{"text": "two"},\n{"text": "three"', 3),
        (b'[{"text": "one"},\n{"text": "two"}]\n{"text": "three"}', 3),
    ],
)
def test_of_a_list_that_does_not_end_well_the_objects_before_are_kept(
    tmp_path: Path, content: bytes, line: int
) -> None:
    documents, read_errors = read(records(), write(tmp_path / "rows.json", content))
    assert texts(documents) == ["one", "two"]
    assert lines_and_reasons(read_errors) == [(line, "malformed_json")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=3_000), max_size=30), st.booleans())
def test_no_cut_between_pieces_of_a_list_changes_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], is_ascii: bool
) -> None:
    rows = [{"n": number, "text": value, "deep": {"er": [value, -1e-7]}} for number, value in enumerate(values)]
    content = json.dumps(rows, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmcore.text.sources.rows.json_rows.BUFFER_BYTES", 7)
        documents, _ = read(records(), write(tmp_path_factory.mktemp("json") / "rows.json", content))
    assert texts(documents) == [value for value in values if value.strip()]


@pytest.mark.parametrize("name", ["rows.xml", "rows", "rows.txt.gz"])
def test_files_without_rows_are_named_and_cost_no_other(tmp_path: Path, name: str) -> None:
    good = write(tmp_path / "rows.jsonl", b'{"text": "x"}')
    documents, read_errors = read(records(), write(tmp_path / name, b"text"), good)
    assert texts(documents) == ["x"]
    reason = "damaged_file" if name.endswith(".gz") else "unknown_format"
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [(name, reason)]
