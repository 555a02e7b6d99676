"""Variants of bAbI's stories: the same reasoning with other names and directions."""

import random
import re
from pathlib import Path

import pytest

from flows.recipe_data.story_variants import (
    GROUPS,
    SIDES,
    stories_in,
    task_of_story,
    variant,
    with_variants,
    write_stories,
)
from lmcore.errors import UserError

WALK = ("1 Mary took the milk.", "2 Mary went to the office.", "3 Where is the milk?\toffice\t1 2")
FETCH = ("1 John took the apple.", "2 Sandra went to the garden.", "3 Where is the apple?\tgarden\t1 2")
PATH = (
    "1 The office is north of the garden.",
    "2 The kitchen is west of the office.",
    "3 How do you go from the garden to the kitchen?\tn,w\t1 2",
)
SIDE = ("1 The triangle is above the red sphere.", "2 Is the red sphere below the triangle?\tyes\t1")
MOTIVE = ("1 Yann is thirsty.", "2 Where will yann go?\tkitchen\t1")
STORIES = (WALK, FETCH, PATH, SIDE, MOTIVE)
DELTAS = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}


def variants(story: tuple[str, ...], n: int = 50) -> list[tuple[str, ...]]:
    generator = random.Random(0)
    return [tuple(variant(story, GROUPS, generator)) for _ in range(n)]


def test_names_of_one_kind_are_exchanged_in_the_whole_story() -> None:
    found = variants(WALK)
    assert len(set(found)) > 10
    for story in found:
        (woman, thing), (same, place) = (re.findall(r"\d (\w+) .*?(\w+)\.", line)[0] for line in story[:2])
        assert same == woman
        assert woman in GROUPS[0]
        assert story[2] == f"3 Where is the {thing}?\t{place}\t1 2"


def test_a_path_is_right_after_the_plane_is_turned_or_mirrored() -> None:
    answers = set()
    for story in variants(PATH, 100):
        at = {}
        for line in story[:2]:
            place, direction, other = re.findall(r"The (\w+) is (\w+) of the (\w+)", line)[0]
            at[place, other] = DELTAS[direction]
        start, end, path = re.findall(r"from the (\w+) to the (\w+)\?\t(\w,\w)", story[2])[0]
        (office,) = {place for place, _ in at} & {other for _, other in at}
        deltas = [DELTAS[next(name for name in DELTAS if name[0] == step)] for step in path.split(",")]
        assert deltas == [at[office, start], at[end, office]]
        answers.add(path)
    assert len(answers) == 8


def test_above_and_below_stay_opposite() -> None:
    opposite = dict(zip(SIDES, (*SIDES[2:], *SIDES[:2]), strict=True))
    side = "|".join(SIDES)
    for story in variants(SIDE):
        first, second = (re.findall(side, line)[0] for line in story)
        assert second == opposite[first]
        assert story[1].endswith("\tyes\t1")


def test_each_story_is_followed_by_its_variants_with_names_of_its_task_only() -> None:
    found = list(with_variants(STORIES, random.Random(1), 3))
    assert [task_of_story(story) for story in found] == [
        task_of_story(story) for story in STORIES for _ in range(1 if story is MOTIVE else 4)
    ]
    assert found[-1] == MOTIVE
    names = {name for story in found[:8] for name in re.findall(r"\d ([A-Z]\w+)", " ".join(story)) if name != "Where"}
    assert names == {"Mary", "Sandra", "John"}


def test_held_out_stories_are_not_varied_and_equal_bytes_are_made_again(tmp_path: Path) -> None:
    source = tmp_path / "stories.txt"
    source.write_text("\n".join(line for story in STORIES * 20 for line in story))
    assert write_stories(tmp_path / "a", source)
    assert not write_stories(tmp_path / "a", source)
    assert write_stories(tmp_path / "b", source)
    for name in ("train.txt", "validation.txt"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    held_out = [tuple(story) for story in stories_in(tmp_path / "a" / "validation.txt")]
    assert held_out == [(STORIES * 20)[number] for number in (0, 33, 66, 99)]
    assert write_stories(tmp_path / "a", source, n_variants=1)


def test_missing_stories_are_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing: get bAbI's English training file"):
        write_stories(tmp_path, tmp_path / "nowhere.txt")
