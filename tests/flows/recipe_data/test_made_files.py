"""Files are made once, and again when they or what they are made from have changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.recipe_data.made_files import make_files

NAMES = ("a.txt", "b.txt")


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], bool]:
    """Makes the files from an origin, which is their content; whether they were made."""

    def make(origin: str) -> bool:
        def write() -> None:
            for name in NAMES:
                (tmp_path / name).write_text(origin)

        return make_files(tmp_path, NAMES, origin, write)

    return make


def test_current_files_are_left_alone(make: Callable[[str], bool]) -> None:
    assert make("one")
    assert not make("one")


def test_files_of_another_origin_are_made_again(make: Callable[[str], bool], tmp_path: Path) -> None:
    make("one")
    assert make("two")
    assert (tmp_path / "b.txt").read_text() == "two"


@pytest.mark.parametrize("name", [*NAMES, "made.json"])
@pytest.mark.parametrize("content", [None, "", "another"])
def test_missing_and_changed_files_are_made_again(
    name: str, content: str | None, make: Callable[[str], bool], tmp_path: Path
) -> None:
    make("one")
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    assert make("one")
    assert [(tmp_path / name).read_text() for name in NAMES] == ["one", "one"]
    assert not make("one")


def test_what_an_interrupted_program_made_is_made_again(make: Callable[[str], bool], tmp_path: Path) -> None:
    make("one")

    def interrupted() -> None:
        (tmp_path / "a.txt").write_text("two")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_files(tmp_path, NAMES, "two", interrupted)
    assert make("two")
