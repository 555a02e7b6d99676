import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lmcore.files import folder_digest
from lmcore.text.config import CleanConfig, CollectConfig, FilterConfig, Records, Source, SplitFractions, TextFolder
from lmcore.tokens.config import BytePairConfig, TokenizeConfig
from lmcore.tokens.shards import TokenShards
from lmcore.tokens.tokenizer import Tokenizer
from tasks.clean import clean_documents
from tasks.collect import collect_documents
from tasks.environment import Environment
from tasks.tokenize import tokenize_documents

TEXTS = [f"Notes of day {number}.\n\nIt rained, {number % 5} times, and then it stopped." for number in range(60)]
CLEAN = CleanConfig(
    language="en",
    normalize=True,
    filters=FilterConfig(
        min_characters=10,
        min_words=3,
        min_letter_share=0.3,
        max_mean_word_length=20.0,
        max_repeated_line_share=0.9,
        min_distinct_word_share=0.1,
    ),
    remove_duplicates=True,
    max_bytes_per_label=None,
)
TOKENIZE = TokenizeConfig(
    tokenizer=BytePairConfig(kind="byte_pair", vocabulary_size=300),
    split=SplitFractions(validation=0.2, test=0.2),
)


def text_folder(folder: Path) -> Source:
    for number, text in enumerate(TEXTS):
        path = folder / ("wet" if number % 5 else "dry") / f"{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return TextFolder(kind="text_folder", name="notes", path=folder, pattern="**/*.txt", split=None)


def json_lines(folder: Path) -> Source:
    folder.mkdir()
    path = folder / "notes.jsonl"
    rows = [{"content": text, "weather": "wet"} for text in TEXTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"nothing": "here"}]))
    return Records(
        kind="records",
        name="notes",
        path=path,
        text_field="content",
        label_field="weather",
        target_field=None,
        name_field=None,
        split=None,
    )


def run(source: Source, project: Path) -> Path:
    raw, clean, tokens = project / "raw", project / "clean", project / "tokens"
    environment = Environment(workers=1)
    collect_documents(CollectConfig(sources=(source,)), environment, raw=raw)
    clean_documents(CLEAN, environment, raw=raw, clean_folder=clean)
    tokenize_documents(TOKENIZE, clean_folder=clean, tokens=tokens)
    return project


@pytest.mark.parametrize("make_source", [text_folder, json_lines])
def test_own_texts_come_back_from_their_tokens(make_source: object, tmp_path: Path) -> None:
    project = run(make_source(tmp_path / "own"), tmp_path / "project")  # type: ignore[operator]
    shards, tokenizer = TokenShards.open(project / "tokens"), Tokenizer.load(project / "tokens/tokenizer.json")
    found = []
    for split in ("train", "validation", "test"):
        text = tokenizer.decode(shards.tokens(split).tolist())
        assert text
        found += [known for known in TEXTS if known in text]
    assert sorted(found) == sorted(TEXTS)


def test_the_same_input_gives_the_same_bytes_in_another_folder(tmp_path: Path) -> None:
    digests = [
        folder_digest(run(text_folder(tmp_path / name / "own"), tmp_path / name / "project"))
        for name in ("one", "another")
    ]
    assert digests[0] == digests[1]


def test_labels_are_the_folders_and_faults_are_counted(tmp_path: Path) -> None:
    folder = run(text_folder(tmp_path / "folder"), tmp_path / "first")
    labels = pq.read_table(folder / "clean/documents.parquet")["label"].to_pylist()
    assert sorted(set(labels)) == ["dry", "wet"]
    lines = run(json_lines(tmp_path / "lines"), tmp_path / "second")
    assert json.loads((lines / "raw/summary.json").read_text())["faults_by_reason"] == {"missing_field": 1}


def test_a_missing_input_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"documents.parquet is missing: run the stage that writes it"):
        tokenize_documents(TOKENIZE, clean_folder=tmp_path, tokens=tmp_path / "tokens")
