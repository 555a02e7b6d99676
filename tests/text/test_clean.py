from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.text.clean import Cleaning, clean, summarize
from lmcore.text.config import CleanConfig, FilterConfig
from lmcore.text.documents import CLEAN_SCHEMA, LEDGER_SCHEMA, RAW_SCHEMA, Document, to_table, write_table
from lmcore.text.split import document_id

CONFIG = CleanConfig(
    language="en",
    normalize=True,
    filters=FilterConfig(
        min_characters=3,
        min_words=1,
        min_letter_share=0.3,
        max_mean_word_length=20.0,
        max_repeated_line_share=0.9,
        min_distinct_word_share=0.1,
    ),
    remove_duplicates=True,
    max_bytes_per_label=40,
)
UNLIMITED = CONFIG.model_copy(update={"max_bytes_per_label": None})
KEPT = "This document is kept."
DOCUMENT = Document(KEPT, "a", "source", None, "a.txt", None, "file", 1, None, None)
documents = st.builds(
    replace,
    st.just(DOCUMENT),
    text=st.text(max_size=12) | st.sampled_from(["one word", "one  word", "two words.", "12345"]),
    label=st.sampled_from(["a", "b", None]),
    line=st.integers(1, 1000),
)


def run(*texts: str, config: CleanConfig = UNLIMITED) -> Cleaning:
    raw = [replace(DOCUMENT, text=text, line=line) for line, text in enumerate(texts, start=1)]
    return clean(to_table(raw), config, n_workers=1)


@settings(max_examples=50)
@given(st.lists(documents, max_size=20))
def test_every_document_is_kept_or_in_the_ledger_with_its_reason(some: list[Document]) -> None:
    raw = to_table([DOCUMENT, *some])
    cleaning = clean(raw, CONFIG, n_workers=1)
    summary = summarize(cleaning)
    assert summary["input"] == len(raw) == summary["kept"] + summary["dropped"]
    assert sum(summary["dropped_by_reason"].values()) == summary["dropped"]
    assert sum(label["documents"] for label in summary["labels"]) == summary["kept"]
    origin = ["label", "source", "path", "line"]
    together = pa.concat_tables([cleaning.kept.select(origin), cleaning.ledger.select(origin)])
    assert sorted(map(str, together.to_pylist())) == sorted(map(str, raw.select(origin).to_pylist()))


def test_the_ledger_keeps_the_document_as_it_came() -> None:
    cleaning = run("x ", KEPT, "1 2 3 4", f"{KEPT}  \n\n")
    rows = cleaning.ledger.select(["text", "line", "rule", "score", "threshold", "detail"]).to_pylist()
    assert [list(row.values()) for row in rows] == [
        ["x ", 1, "too_short", 1.0, 3.0, None],
        ["1 2 3 4", 3, "too_few_letters", 0.0, 0.3, None],
        [f"{KEPT}  \n\n", 4, "exact_duplicate", None, None, f"the text of {document_id(KEPT)}"],
    ]


def test_clean_documents_carry_id_sizes_tokens_and_sentences() -> None:
    (row,) = run("Caf\u0065\u0301 opens. It's  here!").kept.to_pylist()
    text = row["text"]
    assert text == "Café opens. It's  here!"
    assert row["id"] == document_id(text)
    assert row["n_bytes"] == len(text.encode())
    assert [text[:end] for end in row["sentence_ends"]] == ["Café opens.", text]
    assert row["n_words"] == 5
    assert len(row["token_ends"]) == 8


def test_columns_are_as_promised() -> None:
    cleaning = run(KEPT)
    assert cleaning.kept.schema == CLEAN_SCHEMA
    assert cleaning.ledger.schema == LEDGER_SCHEMA
    assert CLEAN_SCHEMA.names[: len(RAW_SCHEMA)] == RAW_SCHEMA.names


def test_every_step_can_be_left_out() -> None:
    raw = [" ", "N  1\u00a0x", "N  1\u00a0x", ". .", "the the the"]
    config = CONFIG.model_copy(
        update={"normalize": False, "filters": None, "remove_duplicates": False, "max_bytes_per_label": None}
    )
    cleaning = run(*raw, config=config)
    assert cleaning.kept["text"].to_pylist() == raw[1:]
    assert cleaning.ledger["rule"].to_pylist() == ["empty_text"]


def test_a_target_is_normalized_as_its_text() -> None:
    raw = [
        replace(DOCUMENT, text=f"Text {number}.", target=target) for number, target in enumerate(["e\u0301", "\x00"])
    ]
    assert clean(to_table(raw), UNLIMITED, n_workers=1).kept["target"].to_pylist() == ["é", None]


def test_documents_stay_in_order() -> None:
    texts = [f"Document number {number}." for number in range(2_500)]
    assert run(*texts).kept["text"].to_pylist() == texts


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    raw = to_table([replace(DOCUMENT, text=f"Some words: {number}, {number % 7}.") for number in range(3_000)] * 2)
    for n_workers in (1, 2):
        cleaning = clean(raw, UNLIMITED, n_workers=n_workers)
        write_table(tmp_path / f"kept-{n_workers}.parquet", cleaning.kept)
        write_table(tmp_path / f"ledger-{n_workers}.parquet", cleaning.ledger)
    assert (tmp_path / "kept-1.parquet").read_bytes() == (tmp_path / "kept-2.parquet").read_bytes()
    assert (tmp_path / "ledger-1.parquet").read_bytes() == (tmp_path / "ledger-2.parquet").read_bytes()


def test_nothing_left_is_an_error_that_counts_the_reasons() -> None:
    with pytest.raises(ValueError, match=r"no document of 2 is left: .*'too_short': 2"):
        run("x", "y")
