"""A ``sources.lock`` that cannot be read: what is wrong, and what to do, which works."""

import json
from pathlib import Path

import pytest

from flows import refresh as refreshing
from lmcore.errors import UserError
from lmcore.text.sources.snapshot import Content, Snapshot
from tasks.context.environment import Environment
from tasks.context.parameters import load_parameters
from tasks.context.source_lock import Lock, NamedFile, read_lock, set_aside_damaged_lock, write_lock
from tests.sample_project import parameters_of_small_project

LOCK = Lock(
    {"notes": Snapshot(None, {"a.txt": Content(1, 2, "0" * 64)})},
    {"tokenize": [NamedFile("tokenize.tokenizer.path", "t.json", "f" * 64)]},
)


def written(tmp_path: Path) -> str:
    write_lock(tmp_path / "whole.lock", LOCK)
    return (tmp_path / "whole.lock").read_text()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    assert read_lock(tmp_path / "whole.lock") == LOCK
    assert read_lock(tmp_path / "missing.lock") == Lock()


def damaged(text: str) -> dict[str, tuple[bytes, str]]:
    return {
        "empty": (b"", "is empty"),
        "blank": (b"\n", "is empty"),
        "truncated": (text[: len(text) // 2].encode(), "is damaged"),
        "binary": (b"\xff\xfe\x00\x01", "is damaged"),
        "zeros": (bytes(4096), "is damaged"),
        "merge": (f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> b\n".encode(), "conflict markers of a merge"),
        "list": (b"[]", "is damaged"),
        "null": (b"null", "is damaged"),
        "nothing in it": (b"{}", "is damaged (sources: Field required)"),
        "no contents": (b'{"sources": {"notes": {"revision": null}}}', "sources.notes.contents: Field required"),
        "a digest that is none": (text.replace("0" * 64, "0" * 63).encode(), "sources.notes.contents.a.txt.sha256"),
        "a size that is text": (text.replace('"n_bytes": 2, "sha', '"n_bytes": "2", "sha').encode(), "is damaged"),
        "a negative size": (text.replace('"n_bytes": 2, "sha', '"n_bytes": -2, "sha').encode(), "is damaged"),
        "a source that is a number": (b'{"sources": {"notes": 5}}', "sources.notes"),
        "nested": (b"[" * 100_000, "is damaged"),
    }


@pytest.mark.parametrize("name", damaged(""))
def test_a_damaged_lock_is_named_with_a_command_that_mends_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    content, problem = damaged(written(tmp_path))[name]
    lock = tmp_path / "sources.lock"
    lock.write_bytes(content)
    with pytest.raises(UserError, match=r"run `python -m flows\.refresh`") as caught:
        read_lock(lock)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)

    (tmp_path / "params.yaml").write_text(parameters_of_small_project())
    (tmp_path / "notes.txt").write_text("A text.")
    environment = Environment(work_folder=tmp_path / ".work")
    refreshing.refresh(load_parameters(tmp_path / "params.yaml"), environment)
    assert list(read_lock(lock).sources) == ["documentation"]
    assert (tmp_path / ".work" / "damaged" / "sources.lock.damaged-1").read_bytes() == content
    assert any("sources.lock" in record.message and record.levelname == "WARNING" for record in caplog.records)


def test_a_sound_lock_stays(tmp_path: Path) -> None:
    text = written(tmp_path)
    set_aside_damaged_lock(tmp_path / "whole.lock", tmp_path / "kept")
    assert (tmp_path / "whole.lock").read_text() == text
    assert json.loads(text)["sources"]["notes"]["n_bytes"] == 2
