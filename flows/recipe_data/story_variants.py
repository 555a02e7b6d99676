"""Makes the training data of the recipe babi: ``python -m flows.recipe_data.story_variants [FOLDER] [--stories FILE]``.

``train.txt`` has bAbI's training stories, each followed by variants of it: people, places, things, animals, colors and
shapes swap names, and directions are turned or mirrored, in the story as in its questions and answers. The reasoning
stays the same, but who was where cannot be learned by heart. ``validation.txt`` has the stories that are held out for
validation, without variants.

Names are swapped with names from other stories of the same task, except in the task about motives, where people go to
the kitchen because they are hungry. Equal inputs make equal files.
"""

import argparse
import gzip
import logging
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from flows.recipe_data.made_files import make_files
from flows.runtime.commands import run_command
from lmcore.errors import UserError
from lmcore.runtime.files import file_digest, write_text
from lmcore.text.sources.rows.babi_tasks import task_of

logger = logging.getLogger(__name__)

STORIES = Path("../shared/data/babi/train.txt.gz")
FOLDER = Path(".work/babi")
TRAINING, VALIDATION = "train.txt", "validation.txt"
N_VARIANTS = 4
HELD_OUT = 33
"""One of so many stories is held out for validation."""
SEED = 20
FIXED = "20 agent's motivations"
GROUPS = (
    ("Mary", "Sandra", "Julie"),
    ("Bill", "Daniel", "Fred", "Jeff", "John"),
    ("Bernhard", "Brian", "Greg", "Julius", "Lily"),
    ("bathroom", "bedroom", "cinema", "garden", "hallway", "kitchen", "office", "park", "school"),
    ("apple", "football", "milk"),
    ("frog", "lion", "rhino", "swan"),
    ("gray", "green", "white", "yellow"),
    ("blue square", "pink rectangle", "red sphere", "red square", "triangle", "yellow square"),
)
"""Names that may take each other's place: women and men apart, since pronouns follow them."""
COMPASS, STEPS = ("north", "east", "south", "west"), ("n", "e", "s", "w")
SIDES = ("above", "to the right of", "below", "to the left of")
TURNS = tuple([tuple((start + step * number) % 4 for number in range(4)) for step in (1, -1) for start in range(4)])
"""Where each of four directions goes when the plane is turned, and when it is mirrored and turned."""

Story = Sequence[str]
"""Its numbered lines."""


def stories_in(path: Path) -> Iterator[Story]:
    """Yield the stories of a file in bAbI's format, plain or compressed with gzip.

    Raises:
        UserError: if the file cannot be read.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}. It has to be bAbI's training file") from None
    story: list[str] = []
    for line in filter(None, lines):
        if line.startswith("1 ") and story:
            yield story
            story = []
        story.append(line)
    if story:
        yield story


def task_of_story(story: Story) -> str:
    """The task of a story, see :func:`~lmcore.text.sources.rows.babi_tasks.task_of`."""
    texts = [line.partition(" ")[2] for line in story]
    return task_of([text for text in texts if "\t" not in text], [text for text in texts if "\t" in text])


def with_variants(stories: Sequence[Story], generator: random.Random, n_variants: int) -> Iterator[Story]:
    """Yield each story and then its variants."""
    tasks = [task_of_story(story) for story in stories]
    texts: dict[str, list[str]] = defaultdict(list)
    for task, story in zip(tasks, stories, strict=True):
        texts[task] += story
    groups = {task: _groups_in("\n".join(lines)) for task, lines in texts.items()}
    for task, story in zip(tasks, stories, strict=True):
        yield story
        for _ in range(0 if task == FIXED else n_variants):
            yield variant(story, groups[task], generator)


def variant(story: Story, groups: Sequence[Sequence[str]], generator: random.Random) -> Story:
    """The story with the names of each group shuffled, and its directions turned."""
    turn = generator.choice(TURNS)
    names: dict[str, str] = {}
    for group in groups:
        names |= zip(group, generator.sample(group, len(group)), strict=True)
    names |= {own[number]: own[turn[number]] for own in (COMPASS, SIDES) for number in range(4)}
    steps = {step: STEPS[turn[number]] for number, step in enumerate(STEPS)}
    return [_renamed(line, names, steps) for line in story]


def _renamed(line: str, names: Mapping[str, str], steps: Mapping[str, str]) -> str:
    """A line with other names; the answer to the question for a path has the initials of directions."""
    question, *rest = line.split("\t")
    renamed = [_replaced(question, names), *(_replaced(part, names) for part in rest)]
    if rest and "How do you go" in question:
        renamed[1] = ",".join(steps[step] for step in rest[0].split(","))
    return "\t".join(renamed)


def _replaced(text: str, names: Mapping[str, str]) -> str:
    longest_first = sorted(names, key=len, reverse=True)
    return re.sub(rf"\b(?:{'|'.join(longest_first)})\b", lambda found: names[found[0]], text)


def _groups_in(text: str) -> list[list[str]]:
    """The names of each group that occur in a text."""
    return [[name for name in group if re.search(rf"\b{name}\b", text)] for group in GROUPS]


def write_stories(folder: Path, stories: Path = STORIES, n_variants: int = N_VARIANTS) -> bool:
    """Write both files into a folder if they are not there or not current; return whether they were written.

    Raises:
        UserError: if the stories cannot be read.
    """
    if not stories.is_file():
        raise UserError(f"{stories} is missing: get bAbI's English training file with 1,000 questions per task")

    def write() -> None:
        originals = list(stories_in(stories))
        training = [story for number, story in enumerate(originals) if number % HELD_OUT]
        _write_file(folder / VALIDATION, originals[::HELD_OUT])
        _write_file(folder / TRAINING, with_variants(training, random.Random(SEED), n_variants))

    origin = f"{file_digest(Path(__file__))} {file_digest(stories)} {n_variants}"
    return make_files(folder, (TRAINING, VALIDATION), origin, write)


def _write_file(path: Path, stories: Iterable[Story]) -> None:
    write_text(path, "".join(f"{line}\n" for story in stories for line in story))


def _write() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m flows.recipe_data.story_variants", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"where to write (default: {FOLDER})")
    parser.add_argument("--stories", type=Path, default=STORIES, help=f"bAbI's training file (default: {STORIES})")
    arguments = parser.parse_args()
    is_written = write_stories(arguments.folder, arguments.stories)
    logger.info("The stories in %s are %s", arguments.folder, "written" if is_written else "already there and current")


def main() -> None:
    """The command line."""
    run_command("story_variants", _write)


if __name__ == "__main__":
    main()
