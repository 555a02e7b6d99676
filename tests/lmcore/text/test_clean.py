import json
import re
from collections import Counter
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.runtime.files import write_json
from lmcore.text.documents.document import (
    CLEAN_SCHEMA,
    LEDGER_SCHEMA,
    RAW_SCHEMA,
    Document,
    ReadError,
    to_table,
)
from lmcore.text.documents.messages import Message, to_json
from lmcore.text.documents.shards import read_documents
from lmcore.text.split import document_id
from tests.lmcore.text.cleaning_for_tests import (
    CONFIG,
    DOCUMENT,
    EVERYTHING,
    KEPT,
    LENIENT,
    UNLIMITED,
    clean_texts,
    configure_cleaning,
    ledger,
    run,
    write_raw,
)

any_document = st.builds(
    replace,
    st.just(DOCUMENT),
    text=st.text(max_size=12) | st.sampled_from(["one word", "one  word", "two words.", "12345"]),
    label=st.sampled_from(["a", "b", None]),
    line=st.integers(1, 1000),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(any_document, max_size=20))
def test_every_document_is_kept_or_in_the_ledger_with_its_reason(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    folder = tmp_path_factory.mktemp("cleaning")
    write_raw(
        folder / "raw", [DOCUMENT, *documents], errors=(ReadError("source", "b.txt", 3, "not_unicode", "byte 0"),)
    )
    summary = run(folder, CONFIG)
    kept, dropped = read_documents(folder / "clean"), ledger(folder)
    assert summary["input"] == len(documents) + 1 == summary["kept"] + summary["dropped"]
    assert summary["unreadable_by_reason"] == {"not_unicode": 1}
    rules = [row["rule"] for row in dropped]
    assert summary["dropped_by_reason"] == dict(sorted(Counter(rules).items()))
    assert sum(label["documents"] for label in summary["labels"]) == summary["kept"] == len(kept)
    origin = ["label", "source", "path", "line"]
    together = [*kept.select(origin).to_pylist(), *({name: row[name] for name in origin} for row in dropped)]
    raw = to_table([DOCUMENT, *documents], RAW_SCHEMA).select(origin).to_pylist()
    assert sorted(map(str, together)) == sorted(map(str, raw))


def test_the_ledger_keeps_a_dropped_document_as_it_came(tmp_path: Path) -> None:
    clean_texts(tmp_path, "x ", KEPT, "1 2 3 4", f"{KEPT}  \n\n")
    names = ["text", "line", "rule", "score", "threshold", "detail"]
    assert [[row[name] for name in names] for row in ledger(tmp_path)] == [
        ["x ", 1, "too_short", 1.0, 3.0, None],
        ["1 2 3 4", 3, "too_few_letters", 0.0, 0.3, None],
        [f"{KEPT}  \n\n", 4, "exact_duplicate", None, None, f"the text of {document_id(KEPT)}"],
    ]


def test_the_ledger_names_what_was_changed_in_a_document_that_stays(tmp_path: Path) -> None:
    clean_texts(tmp_path, "x ", f"{KEPT}   ", f"{KEPT}  \n\n", "Another one.")
    (row,) = ledger(tmp_path, "changed")
    assert (row["line"], row["rule"], row["text"]) == (2, "normalized", f"{KEPT}   ")
    assert row["id"] == document_id(KEPT)


def test_the_ledger_begins_with_what_could_not_be_read(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", [DOCUMENT], errors=(ReadError("source", "b.gz", 7, "damaged_file", "cut off"),))
    summary = run(tmp_path)
    assert (summary["dropped_by_reason"], summary["unreadable_by_reason"]) == ({}, {"damaged_file": 1})
    (row,) = ledger(tmp_path, "unreadable")
    assert (row["path"], row["line"], row["rule"], row["detail"]) == ("b.gz", 7, "damaged_file", "cut off")


def test_clean_documents_carry_id_sizes_tokens_and_sentences(tmp_path: Path) -> None:
    (row,) = clean_texts(tmp_path, "Caf\u0065\u0301 opens. It's  here!").to_pylist()
    text = row["text"]
    assert text == "Café opens. It's  here!"
    assert row["id"] == document_id(text)
    assert row["n_bytes"] == len(text.encode())
    assert [text[:end] for end in row["sentence_ends"]] == ["Café opens.", text]
    assert row["n_words"] == 5
    assert len(row["token_ends"]) == 8


def test_columns_are_as_promised(tmp_path: Path) -> None:
    assert clean_texts(tmp_path, KEPT).schema == CLEAN_SCHEMA
    assert pq.read_schema(tmp_path / "clean/ledger.parquet") == LEDGER_SCHEMA
    assert CLEAN_SCHEMA.names[: len(RAW_SCHEMA)] == RAW_SCHEMA.names


def test_every_step_can_be_left_out(tmp_path: Path) -> None:
    raw = [" ", "N  1\u00a0x", "N  1\u00a0x", ". .", "the the the"]
    config = CONFIG.model_copy(
        update={"normalize": False, "filters": None, "remove_duplicates": False, "max_bytes_per_label": None}
    )
    assert clean_texts(tmp_path, *raw, config=config)["text"].to_pylist() == raw[1:]
    assert [row["rule"] for row in ledger(tmp_path)] == ["empty_text"]


def test_labels_messages_and_rejected_answers_reach_the_clean_documents_and_the_ledger_masked(tmp_path: Path) -> None:
    messages = to_json([Message("user", KEPT), Message("assistant", "To a@b.de")])
    one = replace(DOCUMENT, label=None, labels=("x", "mail a@b.de"), messages=messages, rejected="To c@d.de ")
    others = [replace(one, rejected="No."), replace(one, labels=("x",)), one, replace(DOCUMENT, text="a@b.de")]
    write_raw(tmp_path / "raw", [one, *others])
    rules = {"action": "mask", "kinds": ["email"], "phone_region": None}
    run(tmp_path, configure_cleaning(personal_data=rules, filters=LENIENT, max_bytes_per_label=None))
    kept = read_documents(tmp_path / "clean").to_pylist()
    assert [(row["labels"], row["rejected"]) for row in kept[:3]] == [
        (["x", "mail <email>"], "To <email>"),
        (["x", "mail <email>"], "No."),
        (["x"], "To <email>"),
    ]
    answered = [Message("user", KEPT), Message("assistant", "To <email>")]
    assert {row["messages"] for row in kept[:3]} == {to_json(answered)}
    duplicate, *_ = [row for row in ledger(tmp_path) if row["rule"] == "exact_duplicate"]
    assert "@" not in f"{duplicate['messages']}{duplicate['rejected']}{duplicate['labels']}"


def test_a_target_is_normalized_as_its_text(tmp_path: Path) -> None:
    targets = ["e\u0301", "\x00"]
    documents = [replace(DOCUMENT, text=f"Text {number}.", target=target) for number, target in enumerate(targets)]
    write_raw(tmp_path / "raw", documents)
    run(tmp_path)
    assert read_documents(tmp_path / "clean")["target"].to_pylist() == ["é", None]


def test_no_class_is_lost_to_copies_and_each_prompt_keeps_all_its_answers(tmp_path: Path) -> None:
    words = (f"w{number}" for number in count())
    prompts = [" ".join(islice(words, 20)) for _ in range(5)]
    documents = [
        replace(DOCUMENT, text=prompt, label=label, target=f"{label} answer")
        for prompt in prompts
        for label in ("good", "bad", "good")
    ]
    write_raw(tmp_path / "raw", documents)
    summary = run(tmp_path, EVERYTHING)
    assert summary["dropped_by_reason"] == {"exact_duplicate": 5}
    assert {row["label"]: row["documents"] for row in summary["labels"]} == {"good": 5, "bad": 5}


def test_a_budget_of_a_source_is_for_its_labels_alone(tmp_path: Path) -> None:
    documents = [
        replace(DOCUMENT, text=f"Document {number:04} here.", source=source, label=label)
        for number, (source, label) in enumerate([("source", "a"), ("mine", "a"), ("source", None)] * 20)
    ]
    write_raw(tmp_path / "raw", documents)
    collected = json.loads((tmp_path / "raw/summary.json").read_bytes())
    collected["sources"]["mine"] = collected["sources"]["source"]
    write_json(tmp_path / "raw/summary.json", collected)
    run(tmp_path, UNLIMITED.model_copy(update={"max_bytes_per_label": {"source": 100, "unknown": 1}}))
    kept = read_documents(tmp_path / "clean").to_pylist()
    assert Counter((row["source"], row["label"]) for row in kept) == {
        ("source", "a"): 5,
        ("mine", "a"): 20,
        ("source", None): 20,
    }


def test_documents_stay_in_order(tmp_path: Path) -> None:
    texts = [f"Document number {number}." for number in range(100)]
    assert clean_texts(tmp_path, *texts)["text"].to_pylist() == texts


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    documents = [replace(DOCUMENT, text=f"Some words: {number}, {number % 7}.") for number in range(300)] * 2
    contents = []
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        write_raw(folder / "raw", documents, per_shard=100)
        run(folder, n_workers=n_workers)
        contents.append({file.name: file.read_bytes() for file in (folder / "clean").rglob("*") if file.is_file()})
    assert contents[0] == contents[1]


def test_a_shard_of_which_nothing_is_left_takes_part_in_no_comparison(tmp_path: Path) -> None:
    texts = [" ", "", "\n", KEPT, f"{KEPT} It is the only one.", KEPT]
    write_raw(tmp_path / "raw", [replace(DOCUMENT, text=text) for text in texts], per_shard=3)
    summary = run(tmp_path, EVERYTHING)
    assert (summary["kept"], summary["dropped_by_reason"]) == (2, {"empty_text": 3, "exact_duplicate": 1})


def test_nothing_left_is_an_error_that_counts_the_reasons(tmp_path: Path) -> None:
    message = r"all 2 documents were dropped \(too_short 2\): relax the setting filters.min_characters"
    with pytest.raises(ValueError, match=message):
        clean_texts(tmp_path, "x", "y")
    assert not (tmp_path / "clean").exists()


def test_personal_data_is_nowhere_in_what_cleaning_writes(tmp_path: Path) -> None:
    address, phone, key = "anna.meier@example.org", "212-736-5000", "ghp_" + "a1B2" * 9
    sentence = f"Write to {address} or call {phone}; the key is {key}."
    documents = [
        DOCUMENT,
        replace(DOCUMENT, text=f"{KEPT} {sentence}", label=address, path=f"{address}/notes.txt", name=f"of {address}"),
        replace(DOCUMENT, text=f"{KEPT} {sentence}", label=address, path="again.txt"),
        replace(DOCUMENT, text="x " + address, path=f"short-{address}.txt", target=key),
    ]
    errors = (ReadError("source", f"{address}.gz", 7, "damaged_file", f"cut off after {address}"),)
    write_raw(tmp_path / "raw", documents, errors=errors)
    kinds = {"action": "mask", "kinds": ["secret", "email", "phone"], "phone_region": "US"}
    run(tmp_path, configure_cleaning(filters=LENIENT | {"min_characters": 30}, personal_data=kinds))
    written = [file for file in (tmp_path / "clean").rglob("*") if file.is_file()]
    contents = [
        str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else file.read_text(encoding="utf-8")
        for file in written
    ]
    assert len(contents) > 5
    said = re.compile(f"{address}|{phone}|{key}")
    assert [file.name for file, text in zip(written, contents, strict=True) if said.search(text)] == []
    assert any("of <email>" in text for text in contents)
