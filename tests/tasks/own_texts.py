"""A source of short texts, as files in folders and as JSON lines."""

import json
from pathlib import Path
from typing import Any

from tests.lmcore.text.sources_for_tests import RECORDS, local

TEXTS = [f"Notes of day {number}.\n\nIt rained, {number % 5} times, and then it stopped." for number in range(60)]
RECORDS_WITH_LABELS = RECORDS | {"text": "content", "label": "weather"}


def text_folder(folder: Path) -> dict[str, Any]:
    for number, text in enumerate(TEXTS):
        path = folder / ("wet" if number % 5 else "dry") / f"{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return local("notes", folder, {"kind": "whole_files", "encoding": None, "divide": None})


def json_lines(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    path = folder / "notes.jsonl"
    rows = [{"content": text, "weather": "wet"} for text in TEXTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"nothing": "here"}]))
    return local("notes", path, RECORDS_WITH_LABELS)
