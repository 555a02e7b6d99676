"""Rows within rows, in JSON and Parquet."""

import json
from pathlib import Path

import pytest

from tests.lmcore.text.sources.reader import read, records, rows_in, texts, write

ARTICLES = [
    {
        "title": "Rivers",
        "id": 1,
        "paragraphs": [
            {
                "context": "The Elbe is long.",
                "id": "p1",
                "qas": [
                    {"question": "Which?", "id": "q1", "answers": [{"text": "Elbe"}, {"text": "The Elbe"}]},
                    {"question": "Why?", "id": "q2", "answers": []},
                ],
            },
            {"context": "It ends.", "id": "p2", "qas": [{"question": "Who?", "id": "q3", "answers": [{"text": "It"}]}]},
        ],
    },
    {"title": "Empty", "paragraphs": []},
]


def nested(folder: Path, form: str) -> tuple[Path, str]:
    """The articles in a file, and the path of their paragraphs."""
    if form == "object":
        content = json.dumps({"version": "1", "data": ARTICLES, "more": [1]}, indent=1)
        return write(folder / "squad.json", content.encode()), "data.paragraphs"
    if form == "deep":
        content = json.dumps({"a": {"x": 1, "b": {"data": ARTICLES}}})
        return write(folder / "deep.json", content.encode()), "a.b.data.paragraphs"
    if form == "list":
        return write(folder / "list.json", json.dumps(ARTICLES).encode()), "paragraphs"
    return rows_in(folder / f"rows.{form}", *ARTICLES), "paragraphs"


@pytest.mark.parametrize("form", ["object", "deep", "list", "jsonl", "parquet"])
def test_rows_within_rows_have_the_fields_of_all_around_them(tmp_path: Path, form: str) -> None:
    path, paragraphs = nested(tmp_path, form)
    reader = records(
        "{context} {question}",
        rows=f"{paragraphs}.qas",
        target="answers.0.text",
        label="title",
        name="{id}/{paragraphs.id}",
    )
    documents, read_errors = read(reader, path)
    assert [(each.text, each.target, each.label, each.name) for each in documents] == [
        ("The Elbe is long. Which?", "Elbe", "Rivers", "q1/p1"),
        ("The Elbe is long. Why?", None, "Rivers", "q2/p1"),
        ("It ends. Who?", "It", "Rivers", "q3/p2"),
    ]
    assert [read_error.reason for read_error in read_errors] == ["no_rows"]


def test_every_answer_may_be_a_row(tmp_path: Path) -> None:
    path, paragraphs = nested(tmp_path, "object")
    documents, read_errors = read(records("question", rows=f"{paragraphs}.qas.answers", target="text"), path)
    assert [(document.text, document.target) for document in documents] == [
        ("Which?", "Elbe"),
        ("Which?", "The Elbe"),
        ("Who?", "It"),
    ]
    assert [read_error.reason for read_error in read_errors] == ["no_rows", "no_rows"]


def test_a_list_within_an_object_is_never_held_whole(tmp_path: Path) -> None:
    rows = [{"text": f"{number} {'x' * 1_000}"} for number in range(2_000)]
    path = write(tmp_path / "rows.json", json.dumps({"n": 1, "data": rows, "last": {}}).encode())
    documents, read_errors = read(records(rows="data"), path, max_document_bytes=2_000)
    assert texts(documents) == [row["text"] for row in rows]
    assert not read_errors


@pytest.mark.parametrize(
    "content", ['{"data": [{"text": "one"}', '{"data": [{"text": "one"}], "more', '{"data": [{"text": "one"}] 5']
)
def test_of_a_list_within_an_object_that_is_cut_off_the_rows_before_are_kept(tmp_path: Path, content: str) -> None:
    documents, read_errors = read(records(rows="data"), write(tmp_path / "rows.json", content.encode()))
    assert texts(documents) == ["one"]
    assert {read_error.reason for read_error in read_errors} == {"malformed_json"}


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_path_that_leads_nowhere_is_a_read_error_that_names_what_there_is(tmp_path: Path, name: str) -> None:
    documents, read_errors = read(records(rows="date"), write(tmp_path / name, b'{"data": [{"text": "one"}]}'))
    assert not documents
    assert [(read_error.reason, "the fields are 'data'" in read_error.detail) for read_error in read_errors] == [
        ("missing_field", True)
    ]


def test_a_path_of_rows_into_a_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`rows` needs JSON, Parquet or Arrow; rows.csv is csv"):
        read(records(rows="data"), write(tmp_path / "rows.csv", b"text\none\n"))
