"""The files of a source in their order, and the read errors of those that cannot be used."""

from pathlib import Path

import pytest

from lmcore.text.sources.locations.locate import locate
from tests.lmcore.text.sources_for_tests import configure, local

PARALLEL = {"kind": "parallel_lines", "encoding": None}
LINES = {"kind": "lines", "label": None, "encoding": None}


def write(folder: Path) -> None:
    for name in ("fr/train.txt", "en/train.txt"):
        (folder / name).parent.mkdir()
        (folder / name).write_text(name)


def test_files_are_sorted_by_name_unless_they_are_parallel(tmp_path: Path) -> None:
    write(tmp_path)
    paths = [str(tmp_path / "fr/train.txt"), str(tmp_path / "en/train.txt")]
    for reader, expected in ((LINES, ["en/train.txt", "fr/train.txt"]), (PARALLEL, ["fr/train.txt", "en/train.txt"])):
        location = {"location": {"kind": "local", "paths": paths}}
        (source,) = configure(local("notes", "", reader) | location).sources
        assert [file.name for file in locate(source, tmp_path / "unused").files] == expected


def test_parallel_files_that_are_one_file_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    location = {"location": {"kind": "local", "paths": [str(tmp_path / "fr/train.txt"), str(tmp_path / "fr/*.txt")]}}
    (source,) = configure(local("notes", "", PARALLEL) | location).sources
    with pytest.raises(ValueError, match="source 'notes': parallel_lines reads two files, but its location has 1"):
        locate(source, tmp_path / "unused")


def test_read_errors_are_sorted_by_path(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("b", "a"):
        (tmp_path / name).symlink_to(tmp_path / "nothing")
    (source,) = configure(local("notes", tmp_path, LINES)).sources
    located = locate(source, tmp_path / "unused")
    assert [(error.path, error.reason) for error in located.read_errors] == [
        ("a", "unreadable_file"),
        ("b", "unreadable_file"),
    ]
    assert located.revision is None
