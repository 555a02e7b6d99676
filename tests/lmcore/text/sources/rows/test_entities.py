import json
from pathlib import Path
from typing import Any

import pytest

from lmcore.config.readers import EntitySpans, EntityTags
from lmcore.text.documents.document import InputError
from lmcore.text.sources.rows.entities import entity_target
from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, rows_in, write

TAGS = EntityTags(kind="tags", tokens="tokens", tags="tags", write_as="json")
SPANS = EntitySpans(kind="spans", entities="entities", start="start", end="end", label="type", write_as="json")
TOKENS = ["Ada", "Lovelace", "left", "New", "York", "London", "."]


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "B-LOC", "O"],
        ["I-PER", "I-PER", "O", "I-LOC", "I-LOC", "B-LOC", "O"],
        ["B-PER", "E-PER", "O", "B-LOC", "E-LOC", "S-LOC", "O"],
        ["B-PER", "L-PER", "O", "B-LOC", "L-LOC", "U-LOC", "O"],
    ],
    ids=["IOB2", "IOB1", "IOBES", "BILOU"],
)
def test_the_usual_schemes_of_tags_give_the_same_entities(tags: list[str]) -> None:
    row = {"tokens": TOKENS, "tags": tags}
    expected = {"PER": ["Ada Lovelace"], "LOC": ["New York", "London"]}
    assert json.loads(entity_target(row, "", TAGS)) == expected
    lines = entity_target(row, "", TAGS.model_copy(update={"write_as": "lines"}))
    assert lines == "PER: Ada Lovelace\nLOC: New York\nLOC: London"


def test_a_sentence_without_entities_is_an_empty_object() -> None:
    assert entity_target({"tokens": TOKENS, "tags": ["O"] * 7}, "", TAGS) == "{}"


def test_an_entity_at_the_end_and_a_change_of_type_are_found() -> None:
    row = {"tokens": ["Ada", "Paris", "here", "Rome"], "tags": ["I-PER", "I-LOC", "O", "LOC"]}
    assert json.loads(entity_target(row, "", TAGS)) == {"PER": ["Ada"], "LOC": ["Paris", "Rome"]}


def test_spans_are_parts_of_the_text_in_their_order() -> None:
    text = "Ada left London."
    entities = [{"start": 9, "end": 15, "type": "LOC"}, {"start": 0, "end": 3, "type": "PER"}]
    assert entity_target({"entities": entities}, text, SPANS) == '{"PER": ["Ada"], "LOC": ["London"]}'


@pytest.mark.parametrize(
    ("row", "target", "reason"),
    [
        ({"tokens": TOKENS}, TAGS, "missing_field"),
        ({"tokens": TOKENS, "tags": ["O"]}, TAGS, "wrong_type"),
        ({"tokens": TOKENS, "tags": [0] * 7}, TAGS, "wrong_type"),
        ({"entities": [{"start": 0, "end": 99, "type": "PER"}]}, SPANS, "wrong_type"),
        ({"entities": [{"start": 0, "end": 3}]}, SPANS, "wrong_type"),
        ({"entities": "none"}, SPANS, "wrong_type"),
    ],
)
def test_a_row_that_does_not_tell_its_entities_is_an_error(row: dict[str, Any], target: Any, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        entity_target(row, "Ada left.", target)
    assert caught.value.reason == reason


def test_the_entities_of_files_become_targets(tmp_path: Path) -> None:
    conll = write(tmp_path / "train.conll", b"Ada NNP B-PER\nleft VBD O\n. . O\n")
    reader = records("0", target=TAGS.model_copy(update={"tokens": "0", "tags": "2"}))
    ((document,), errors) = read(reader, conll)
    assert (document.text, document.target, errors) == ("Ada left.", '{"PER": ["Ada"]}', [])
    rows = rows_in(
        tmp_path / "spans.jsonl",
        {"text": "Ada left.", "entities": [{"start": 0, "end": 3, "type": "PER"}]},
        {"text": "Ada left.", "entities": [{"start": 5, "end": 2, "type": "PER"}]},
    )
    ((document,), errors) = read(records("text", target=SPANS), rows)
    assert document.target == '{"PER": ["Ada"]}'
    assert lines_and_reasons(errors) == [(2, "wrong_type")]
