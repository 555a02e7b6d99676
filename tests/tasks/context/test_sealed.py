"""A change of any character of a sealed line or file is noticed."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from tasks.context.sealed import discard, read_sealed, seal, unseal, write_sealed


class Value(BaseModel):
    name: str
    number: int


def test_a_line_comes_back_unless_it_was_changed() -> None:
    line = seal("a text, ä")
    assert unseal(line) == "a text, ä"
    for index in range(len(line)):
        with pytest.raises(ValueError, match="checksum"):
            unseal(line[:index] + chr(ord(line[index]) ^ 1) + line[index + 1 :])


def test_a_file_comes_back_unless_it_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_sealed(path, Value(name="ä", number=1))
    assert read_sealed(path, Value) == Value(name="ä", number=1)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="checksum"):
        read_sealed(path, Value)
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "missing", Value)


def test_a_discarded_folder_is_gone_with_what_an_earlier_kill_left(tmp_path: Path) -> None:
    for name in ("folder", ".discarded-earlier"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    discard(tmp_path / "folder")
    discard(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
