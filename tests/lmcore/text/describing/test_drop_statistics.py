from dataclasses import replace
from pathlib import Path

from lmcore.runtime.files import write_json
from tests.lmcore.text.cleaning_for_tests import DOCUMENT, LENIENT, ORIGIN, configure_cleaning, run, write_raw


def test_a_source_that_loses_many_documents_is_named_with_rule_setting_and_masked_examples(tmp_path: Path) -> None:
    few = [replace(DOCUMENT, text=f"Document number {number}.", source="fine", path="f") for number in range(40)]
    many = [
        replace(DOCUMENT, text=f"Write {number} a@b.de " + "x" * 200 * (number % 3), source="mine", line=number)
        for number in range(30)
    ]
    write_raw(tmp_path / "raw", [*few, *many])
    origin = {"bytes": 9, "labels": {}, "origin": ORIGIN}
    write_json(
        tmp_path / "raw/summary.json",
        {"sources": {"fine": {"documents": 40} | origin, "mine": {"documents": 30} | origin}},
    )
    rules = LENIENT | {"max_mean_word_length": 20.0}
    summary = run(tmp_path, configure_cleaning(filters=rules, remove_duplicates=False))
    (source,) = summary["drop_statistics"]
    assert (source["source"], source["documents"], source["dropped"]) == ("mine", 30, 20)
    (rule,) = source["rules"]
    assert (rule["rule"], rule["count"], rule["setting"]) == ("words_too_long", 20, "filters.max_mean_word_length")
    assert len(rule["examples"]) == 3
    for example in rule["examples"]:
        assert "<email> xxx" in example
        assert "a@b.de" not in example
        assert len(example) <= 102
