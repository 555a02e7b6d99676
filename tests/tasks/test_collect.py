"""What is collected is what the lock file says, and the lock file changes only when it is refreshed."""

from pathlib import Path

import pytest

from lmcore.runtime.files import folder_digest
from lmcore.text.documents.shards import read_documents
from tasks.collect import collect_documents, refresh_lock
from tasks.context.environment import Environment
from tests.lmcore.text.sources.servers import File, serving
from tests.lmcore.text.sources_for_tests import configure, local
from tests.tasks.own_texts import json_lines, text_folder


def test_a_source_that_is_not_what_is_pinned_is_an_error_that_says_how_to_accept_it(tmp_path: Path) -> None:
    config = configure(text_folder(tmp_path / "own"))
    environment, lock = Environment(workers=1, work_folder=tmp_path / "work"), tmp_path / "sources.lock"
    (change,) = refresh_lock(config, environment, lock=lock)
    assert change == "notes: source is new (60 files, 0.0 MB)"
    assert refresh_lock(config, environment, lock=lock) == []
    collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    before = folder_digest(tmp_path / "raw")
    (tmp_path / "own/dry/00.txt").write_text("Other notes, of the same day, though.")
    (tmp_path / "own/dry/05.txt").unlink()
    with pytest.raises(
        ValueError,
        match=r"'notes' differs from sources.lock: dry/00.txt .*; dry/05.txt is gone .*\n.*flows.refresh",
    ):
        collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    assert folder_digest(tmp_path / "raw") == before
    changes = refresh_lock(config, environment, lock=lock)
    assert [change.split(" (")[0] for change in changes] == [
        "notes: dry/00.txt has changed",
        "notes: dry/05.txt is gone",
    ]
    collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    assert folder_digest(tmp_path / "raw") != before


def test_only_a_refresh_sees_another_version_at_an_address(tmp_path: Path) -> None:
    with serving() as server:
        server.files["/notes.txt"] = File(b"It rained.\nIt stopped.\n", etag='"1"')
        location = {"kind": "urls", "files": [{"url": server.url("/notes.txt"), "sha256": None}], "max_bytes": 999}
        config = configure(
            local("web", "", {"kind": "lines", "label": None, "encoding": None}) | {"location": location}
        )
        environment, lock = Environment(workers=1, work_folder=tmp_path / "work"), tmp_path / "sources.lock"

        def collected() -> list[str]:
            collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
            texts: list[str] = read_documents(tmp_path / "raw", ["text"])["text"].to_pylist()
            return texts

        refresh_lock(config, environment, lock=lock)
        assert collected() == ["It rained.", "It stopped."]
        server.files["/notes.txt"] = File(b"It rained again.\n", etag='"2"')
        assert collected() == ["It rained.", "It stopped."]
        assert refresh_lock(config, environment, lock=lock) == ["web: notes.txt has changed (23 bytes, now 17)"]
        assert collected() == ["It rained again."]
        assert refresh_lock(config, environment, lock=lock) == []


def test_strict_reading_ends_at_the_first_row_that_cannot_be_used(tmp_path: Path) -> None:
    config = configure(json_lines(tmp_path / "own"), strict=True)
    environment, lock = Environment(workers=1, work_folder=tmp_path / "work"), tmp_path / "sources.lock"
    refresh_lock(config, environment, lock=lock)
    with pytest.raises(ValueError, match=r"notes.jsonl, line 61: missing_field: .* \(collect.strict is true"):
        collect_documents(config, environment, lock=lock, raw=tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
