"""A lock file comes back as it was written, and sources that differ from it are named."""

from pathlib import Path

import pytest

from lmcore.errors import UserError
from lmcore.text.sources.snapshot import Content, Snapshot
from tasks.context.source_lock import (
    SHOWN_CHANGES,
    Lock,
    NamedFile,
    check_sources,
    read_lock,
    set_aside_damaged_lock,
    write_lock,
)


def snapshot(*names: str, digit: str = "0", revision: str | None = None) -> Snapshot:
    return Snapshot(revision, {name: Content(1, 2, digit * 64) for name in names})


LOCK = Lock(
    {"notes": snapshot("a.txt"), "hub": snapshot("b", revision="1" * 40)},
    {
        "clean": [],
        "finetune": [
            NamedFile("finetune.classification.vectors", "t.txt", "f" * 64),
            NamedFile("finetune.completion.init_from", "models:/base@best", "e" * 64, "3"),
        ],
    },
)


def test_a_lock_comes_back_and_each_file_has_its_line(tmp_path: Path) -> None:
    write_lock(tmp_path / "lock", LOCK)
    assert read_lock(tmp_path / "lock") == LOCK
    assert read_lock(tmp_path / "missing") == Lock()
    lines = (tmp_path / "lock").read_text().splitlines()
    assert [sum(name in line for line in lines) for name in ('"a.txt"', '"b"', '"t.txt"')] == [1, 1, 1]


def test_a_lock_of_the_last_release_has_one_file_for_each_stage(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text('{"sources": {}, "files": {"clean": null, "tokenize": {"name": "t.json", "content": "0"}}}')
    assert read_lock(lock).files == {"clean": [], "tokenize": [NamedFile("tokenize.tokenizer.path", "t.json", "0")]}


def test_a_damaged_lock_is_set_aside_and_a_sound_one_stays(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    write_lock(lock, LOCK)
    set_aside_damaged_lock(lock, tmp_path / "damaged")
    assert read_lock(lock) == LOCK
    lock.write_text("[]")
    set_aside_damaged_lock(lock, tmp_path / "damaged")
    assert (tmp_path / "damaged" / "lock.damaged-1").read_text() == "[]"
    assert not lock.exists()


def test_every_source_that_differs_is_named_with_its_files() -> None:
    check_sources(LOCK.sources, LOCK.sources)
    found = {
        "notes": snapshot("a.txt", digit="1"),
        "hub": snapshot("b", revision="2" * 40),
        "new": snapshot("c"),
    }
    with pytest.raises(UserError) as caught:
        check_sources(LOCK.sources, found)
    assert str(caught.value).splitlines() == [
        "source 'notes' differs from sources.lock: a.txt has changed (same size)",
        f"source 'hub' differs from sources.lock: revision {'1' * 40} is now {'2' * 40}",
        "source 'new' is not in sources.lock",
        "if this is intended, accept it with `python -m flows.refresh`",
    ]


def test_of_many_changes_the_first_are_shown() -> None:
    names = [f"{number:03}.txt" for number in range(SHOWN_CHANGES + 5)]
    with pytest.raises(UserError, match=r"009\.txt is gone \(2 bytes\), and 5 more"):
        check_sources({"notes": snapshot(*names)}, {"notes": snapshot()})
