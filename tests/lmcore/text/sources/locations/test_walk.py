"""Patterns match what Python's own glob finds, whatever a folder holds."""

import glob
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.sources.locations.walk import Found, Obstacle, matches, may_contain_matches, walk

part = st.sampled_from(["a", "b", "ab", "a.md", "b.txt"])
pattern_part = st.sampled_from(["*", "**", "?", "a*", "*.md", "[ab]", "a", "*b*"])


@given(
    st.sets(st.lists(part, min_size=1, max_size=4).map("/".join), max_size=8),
    st.lists(pattern_part, min_size=1, max_size=4),
)
def test_patterns_match_what_the_standard_library_finds(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], pattern: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for name in sorted(files):
        if not any(other.startswith(f"{name}/") for other in files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    # pathlib lets a last ** match folders alone in this version of Python.
    expected = present & set(glob.glob("/".join(pattern), root_dir=folder, recursive=True))  # noqa: PTH207
    assert {name for name in present if matches(tuple(name.split("/")), tuple(pattern))} == expected
    for name in expected:
        parts = tuple(name.split("/"))
        assert all(may_contain_matches(parts[:depth], tuple(pattern)) for depth in range(len(parts)))


def test_a_walk_yields_files_and_obstacles_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").touch()
    (tmp_path / "a.txt").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    found = list(walk(tmp_path, lambda parts: True))
    assert [("/".join(entry.parts), type(entry)) for entry in found] == [
        ("a.txt", Found),
        ("broken", Obstacle),
        ("b/c.txt", Found),
    ]
    assert [entry.parts for entry in walk(tmp_path, lambda parts: parts != ("b",))] == [("a.txt",), ("broken",)]
