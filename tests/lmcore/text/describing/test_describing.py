import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmcore.config.tokenize import SplitFractions
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.workers import Workers
from lmcore.text.clean import clean
from lmcore.text.describing.ledger import decisions_of, rules_of
from tests.lmcore.text.cleaning_for_tests import DOCUMENT, LENIENT, configure_cleaning, write_raw

FRACTIONS = SplitFractions(validation=0.1, test=0.1)
MAIL = {"action": "mask", "kinds": ["email"], "phone_region": None}


def describe_all(folder: Path, texts: list[str]) -> Path:
    """Clean documents with these texts; returns the folder of the clean documents."""
    write_raw(folder / "raw", [replace(DOCUMENT, text=text, line=line) for line, text in enumerate(texts, start=1)])
    config = configure_cleaning(filters=LENIENT | {"min_characters": 5}, personal_data=MAIL)
    with Workers(1) as workers:
        clean(
            folder / "raw",
            folder / "clean",
            config,
            FRACTIONS,
            cache=ArtifactCache(folder / "cache", ""),
            workers=workers,
        )
    return folder / "clean"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"Document number {number} says so." for number in range(40)]
    return describe_all(tmp_path_factory.mktemp("corpus"), [*texts, "Mail to a@b.de, and to c@d.de.", "tiny"])


def test_rules_are_listed_with_their_counts_and_scores(corpus: Path) -> None:
    assert {rule["rule"]: (rule["action"], rule["count"]) for rule in rules_of(corpus / "ledger.parquet")} == {
        "too_short": ("dropped", 1),
        "masked_email": ("changed", 1),
    }


def test_a_decision_shows_the_document_before_and_after(corpus: Path) -> None:
    (row,) = decisions_of(corpus / "ledger.parquet", "masked_email", 20, seed=1)
    # The ledger shows no personal data either.
    assert row["text"] == row["changed_to"] == "Mail to <email>, and to <email>."
    assert row["score"] == 2.0
    (dropped,) = decisions_of(corpus / "ledger.parquet", "too_short", 20, seed=1)
    assert (dropped["text"], dropped["changed_to"], dropped["threshold"]) == ("tiny", None, 5.0)


def test_an_unknown_rule_is_an_error_that_lists_the_known_ones(corpus: Path) -> None:
    with pytest.raises(ValueError, match="dropped or changed by 'nothing'; the rules are: masked_email, too_"):
        decisions_of(corpus / "ledger.parquet", "nothing", 3, seed=1)


def test_statistics_count_documents_words_and_groups(corpus: Path) -> None:
    found = json.loads((corpus / "statistics.json").read_bytes())
    assert found["documents"] == 41
    assert sum(row["documents"] for row in found["length"]) == 41
    assert found["length"][2] == {"words": 4, "documents": 40}
    assert {row["name"] for row in found["groups"]["split"]} == {"train", "validation", "test"}
    assert sum(row["documents"] for row in found["groups"]["split"]) == 41
    assert found["groups"]["source"][0]["words"] == found["words"]
    counts = {row["name"]: row["count"] for row in found["frequent_words"]}
    assert (counts["document"], counts["mail"], counts["says"]) == (40, 1, 40)
    assert found["tags"] == []


def test_the_vocabulary_grows_as_it_does(tmp_path: Path) -> None:
    different = [f"word{number}" for number in range(30_000)]
    folder = describe_all(tmp_path, [" ".join(different[start : start + 100]) for start in range(0, 30_000, 100)])
    growth = json.loads((folder / "statistics.json").read_bytes())["vocabulary_growth"]
    assert growth[0] == {"words": 0, "distinct_words": 0}
    assert growth[-1]["words"] == 30_000
    assert growth[-1]["distinct_words"] == pytest.approx(30_000, rel=0.05)


def test_a_word_as_long_as_a_book_is_shortened(tmp_path: Path) -> None:
    start = time.process_time()
    folder = describe_all(tmp_path, [f"Here is {'x' * 250_000} for $5 and costs$a$lot of it."])
    assert time.process_time() - start < 60
    names = [row["name"] for row in json.loads((folder / "statistics.json").read_bytes())["frequent_words"]]
    assert f"{'x' * 60} …" in names
    page = (folder / "statistics.html").read_text(encoding="utf-8")
    assert f">{'x' * 30} …<" in page
    assert "x" * 61 not in page


def test_the_card_says_what_the_corpus_is_made_of_and_what_was_done(corpus: Path) -> None:
    card: dict[str, Any] = json.loads((corpus / "card.json").read_text(encoding="utf-8"))
    assert (card["input"], card["documents"], card["dropped"]) == (42, 41, 1)
    (source,) = card["sources"]
    assert (source["name"], source["license"], source["kept"]["documents"]) == ("source", "CC0-1.0", 41)
    assert card["personal_data"] == {"masked": {"email": 1}, "documents_dropped": 0}
    assert card["languages"] == ["en"]
    text = (corpus / "card.md").read_text(encoding="utf-8")
    personal_data = "Documents with masked personal data: email 1. Documents dropped for it: 0."
    for line in ("- CC0-1.0", "- attribution: Made up here.", "- revision: v1", personal_data):
        assert line in text.splitlines()
    assert any(
        line.split() == ["|", "dropped", "|", "too", "short", "|", "1", "|", "5", "|"] for line in text.splitlines()
    )


def test_the_page_is_the_same_for_the_same_documents(corpus: Path, tmp_path: Path) -> None:
    texts = [f"Document number {number} says so." for number in range(40)]
    again = describe_all(tmp_path, [*texts, "Mail to a@b.de, and to c@d.de.", "tiny"])
    for name in ("statistics.html", "statistics.json", "card.md", "card.json"):
        assert (again / name).read_bytes() == (corpus / name).read_bytes()
    page = (corpus / "statistics.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "a@b.de" not in page
    assert "Mail to &lt;email&gt;, and to &lt;email&gt;." in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
