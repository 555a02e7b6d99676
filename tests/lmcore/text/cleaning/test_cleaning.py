"""Cleaning again: cached results are used where nothing that they depend on has changed."""

import json
import shutil
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest

from lmcore.config.clean import CleanConfig
from lmcore.runtime.files import folder_digest
from lmcore.text.cleaning.decision import DocumentFilter
from lmcore.text.documents.document import RAW_SCHEMA, to_table
from lmcore.text.documents.shards import shard_name, write_table
from tests.lmcore.text.cleaning_for_tests import DOCUMENT, EVERYTHING, run, write_raw


def test_only_shards_that_changed_are_cleaned_again(tmp_path: Path) -> None:
    documents = [replace(DOCUMENT, text=f"Document number {number}.") for number in range(12)]
    write_raw(tmp_path / "raw", documents)
    run(tmp_path)
    before = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()}
    more = [replace(DOCUMENT, text="Added."), replace(DOCUMENT, text="Document number 3.")]
    write_table(tmp_path / "raw/documents" / shard_name(9), to_table(more, RAW_SCHEMA))
    assert run(tmp_path)["kept"] == 13
    after = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()}
    assert len(after) == len(before) + 2
    assert before.items() <= after.items()


def change(name: str, value: object) -> CleanConfig:
    """The rules with another value for one setting, which may be in a section (``filters.min_words``)."""
    section, _, key = name.partition(".")
    settings = EVERYTHING.model_dump(mode="json")
    if key:
        settings[section][key] = value
    else:
        settings[section] = value
    return CleanConfig.model_validate_json(json.dumps(settings))


FILTERING = [
    ("language", "de"),
    ("normalize", False),
    ("identify_language.min_characters", 10),
    ("filters.min_words", 9),
    ("blocklist.max_occurrences", 0),
    ("personal_data.action", "drop"),
    ("near_duplicates.shingle_words", 6),
    ("near_duplicates", None),
    ("contamination.ngram_words", 7),
    ("contamination", None),
]


COMPARING = [
    ("remove_duplicates", False),
    ("near_duplicates.similarity", 0.95),
    ("contamination.max_overlap", 0.7),
    ("max_bytes_per_label", 900),
]


@pytest.fixture
def done_before(tmp_path: Path) -> Path:
    """A folder that was cleaned with all rules; each of them applies to at least one document."""
    words = (f"w{number}" for number in count())
    texts = [" ".join(islice(words, 12)) for _ in range(20)]
    held_out = [replace(DOCUMENT, text=text, split="test") for text in texts[:5]]
    near = [f"{text} more" for text in texts[10:]]
    contaminated = [" ".join([*text.split()[:8], *islice(words, 4)]) for text in texts[:5]]
    others = ["This is number three\u00a0 of them.", "Write to someone@example.org now.", "Das ist ein deutscher Satz."]
    training = [*texts[5:], *near, *contaminated, *others, others[-1]]
    write_raw(tmp_path / "raw", [*held_out, *(replace(DOCUMENT, text=text, split="train") for text in training)])
    run(tmp_path, EVERYTHING)
    return tmp_path


@pytest.mark.parametrize(("name", "value"), [*FILTERING, *COMPARING])
def test_what_was_done_by_other_rules_changes_nothing(name: str, value: object, done_before: Path) -> None:
    before = folder_digest(done_before / "clean")
    run(done_before, change(name, value))
    after = folder_digest(done_before / "clean")
    shutil.rmtree(done_before / "cache")
    run(done_before, change(name, value))
    assert after == folder_digest(done_before / "clean")
    assert after != before


@pytest.mark.parametrize(("name", "value"), COMPARING)
def test_rules_that_compare_filter_nothing_again(
    name: str, value: object, done_before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DocumentFilter, "decide", lambda *_: pytest.fail("was filtered again"))
    run(done_before, change(name, value))
