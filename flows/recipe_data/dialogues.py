"""Makes the data of the recipes chat, dpo and grpo: ``python -m flows.recipe_data.dialogues [FOLDER]``.

Everything is made up or comes from this Python's own standard library, and equal seeds make equal files:

* ``chat.jsonl``: dialogues of three turns. The user says a name and where a thing is, asks about "it", and then for the
  name. No combination of a test dialogue occurs in training, so an answer has to be read from the first turn.
* ``preferences.jsonl``: the documentation of a function, with its summary and that of another function of the module.
* ``arithmetic.jsonl``: quantities in another unit, such as 17 m in cm.
"""

import argparse
import ast
import json
import platform
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.recipe_data.made_files import make_files
from lmcore.runtime.files import file_digest, write_text

FOLDER = Path(".work/dialogues")
SEED = 1
N_DIALOGUES, N_CONVERSIONS = 4_000, 1_500
NAMES = tuple(
    "Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tina Ute Viktor "  # noqa: SIM905
    "Wanda Xaver Yara Zoe Adam Bella Carl Dora Erik".split()
)
COLORS = ("red", "blue", "green", "yellow", "black", "white", "brown", "grey")
THINGS = tuple(
    "kettle lamp chair table bottle basket ladder bucket mirror clock radio pillow jacket hammer book bag".split()  # noqa: SIM905
)
PLACES = tuple(
    "kitchen garden cellar garage attic hall office bathroom bedroom library shed stable workshop studio".split()  # noqa: SIM905
)
LARGEST = 400
UNITS = (("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("kg", "g", 1000), ("t", "kg", 1000), ("l", "ml", 1000))


def dialogues(generator: random.Random) -> Iterator[dict[str, Any]]:
    """Yield dialogues, none of them twice."""
    seen: set[tuple[str, ...]] = set()
    while len(seen) < N_DIALOGUES:
        facts = tuple(map(generator.choice, (NAMES, COLORS, THINGS, PLACES)))
        if facts in seen:
            continue
        seen.add(facts)
        name, color, thing, place = facts
        about_it = generator.choice(
            [("Where is it?", f"It is in the {place}."), ("What color does it have?", f"It is {color}.")]
        )
        turns = [
            (f"Hello, I am {name}. My {color} {thing} is in the {place}.", f"Hello {name}! So you have a {thing}."),
            about_it,
            ("What is my name?", f"Your name is {name}."),
        ]
        yield {
            "messages": [
                message
                for question, answer in turns
                for message in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
            ]
        }


def conversions(generator: random.Random) -> Iterator[dict[str, Any]]:
    """Yield questions on quantities in another unit, none of them twice."""
    every = [(number, *units) for number in range(2, LARGEST + 1) for units in UNITS]
    for number, large, small, factor in generator.sample(every, N_CONVERSIONS):
        yield {"question": f"What is {number} {large} in {small}?", "answer": f"{number * factor} {small}"}


def preferences(generator: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the documentation of functions with two summaries, the right one and another one of its module."""
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        found = list(_summaries(file))
        for name, summary, body in found:
            others = [other for _, other, _ in found if other != summary]
            if others:
                prompt = f"Summarize the function {name}:\n{body}"
                yield {"prompt": prompt, "chosen": summary, "rejected": generator.choice(others)}


def _summaries(file: Path) -> Iterator[tuple[str, str, str]]:
    """The name, the summary and the rest of the documentation of the functions in a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
            first, _, body = text.partition("\n\n")
            if 20 <= len(first) <= 120 and len(body) >= 60:
                yield node.name, " ".join(first.split()), body[:300]


def write_data(folder: Path) -> bool:
    """Write the files into a folder if they are not there or not current; return whether they were written."""
    makers = {"chat.jsonl": dialogues, "preferences.jsonl": preferences, "arithmetic.jsonl": conversions}

    def write() -> None:
        for name, make in makers.items():
            lines = [json.dumps(row) for row in make(random.Random(SEED))]
            write_text(folder / name, "\n".join(lines) + "\n")

    origin = f"{file_digest(Path(__file__))}, Python {platform.python_version()}"
    return make_files(folder, tuple(makers), origin, write)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.recipe_data.dialogues", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"where to write (default: {FOLDER})")
    write_data(parser.parse_args().folder)


if __name__ == "__main__":
    main()
