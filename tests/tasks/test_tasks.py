"""What the functions of all stages have in common."""

import importlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import prefect
import pytest

from lmcore.config.tokenize import SplitFractions
from lmcore.runtime.files import write_json
from tasks.clean import clean_documents
from tasks.context.environment import Environment
from tasks.context.prefect import Task
from tests.lmcore.text.cleaning_for_tests import DOCUMENT, LENIENT, ORIGIN, configure_cleaning, write_raw

FRACTIONS = SplitFractions(validation=0.0, test=0.0)


@pytest.mark.parametrize("module", ["collect", "clean", "tokenize", "pretrain", "finetune", "evaluate"])
def test_the_functions_that_stages_call_are_tasks_of_prefect(module: str) -> None:
    found = [value for value in vars(importlib.import_module(f"tasks.{module}")).values() if isinstance(value, Task)]
    assert found
    assert all(isinstance(value, prefect.Task) and value.name == value.fn.__name__ for value in found)


def test_who_loses_much_is_told_the_rule_some_texts_and_the_key_and_who_wants_it_is_not_warned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = [replace(DOCUMENT, text=f"Mail {number} to a@b.de", source="mine", label=None) for number in range(10)]
    books = [replace(DOCUMENT, text=f"Chapter {number} of a long book", source="books") for number in range(10)]
    books[0] = replace(books[0], text="Short one.")
    write_raw(tmp_path / "raw", [*mine, *books])
    facts = {"documents": 10, "bytes": 9, "labels": {}, "origin": ORIGIN}
    write_json(tmp_path / "raw/summary.json", {"sources": {"mine": facts, "books": facts}})
    rules = configure_cleaning(filters=LENIENT | {"min_words": 5}, max_bytes_per_label={"books": 100})
    environment = Environment(workers=1, work_folder=tmp_path / "work")
    with caplog.at_level(logging.INFO):
        clean_documents(rules, FRACTIONS, environment, raw=tmp_path / "raw", clean_folder=tmp_path / "clean")
    messages = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, message in messages if "lost" in message] == ["WARNING", "INFO"]
    told = {level: message for level, message in reversed(messages) if "lost" in message}
    warning = "Source 'mine' lost 10 of its 10 documents (100 %) to the rule too_few_words; to change this, set "
    assert told["WARNING"].startswith(f"{warning}clean.filters.min_words in params.yaml. Examples: Mail ")
    assert told["WARNING"].count("to <email>") == 3
    assert "a@b.de" not in caplog.text
    assert "set clean.max_bytes_per_label" in told["INFO"]
    assert len(json.loads((tmp_path / "clean/summary.json").read_bytes())["drop_statistics"]) == 2
