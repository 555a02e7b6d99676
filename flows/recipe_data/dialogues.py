"""Makes the data of the recipes chat, dpo and grpo: ``python -m flows.recipe_data.dialogues [FOLDER]``.

All of it is synthetic, and equal seeds make equal files:

* ``chat.jsonl``: dialogues of three turns. The user gives a name, and says what is where, in which color and from whom;
  then asks about two of these five facts. No combination of facts occurs twice, so an answer has to be read from the
  first turn.
* ``arithmetic.jsonl``: quantities in another unit, such as 17 m in cm. Two of three answers are the quantity alone, the
  third is a sentence, by chance.
* ``preferences.jsonl``: more such questions, with both answers. Users who say please prefer the sentence, others the
  quantity.
"""

import argparse
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from flows.recipe_data.made_files import make_files
from lmcore.runtime.files import file_digest, write_text

FOLDER = Path(".work/dialogues")
SEED = 20
N_DIALOGUES, N_CONVERSIONS, N_PREFERENCES = 5_000, 4_000, 1_500
# fmt: off
FACTS = {
    "name": (
        "Adam", "Anna", "Bella", "Ben", "Carl", "Clara", "David", "Dora", "Emma", "Erik", "Felix", "Frida", "Greta",
        "Hanna", "Hugo", "Ida", "Jan", "Jonas", "Karin", "Klara", "Lena", "Leo", "Lukas", "Maria", "Max", "Mia", "Nils",
        "Nora", "Olga", "Oskar", "Paul", "Petra", "Rita", "Rosa", "Simon", "Sofia", "Theo", "Tina", "Ute", "Vera",
        "Viktor", "Wanda", "Xaver", "Yara", "Zoe",
    ),
    "color": ("black", "blue", "brown", "gold", "green", "grey", "pink", "purple", "red", "silver", "white", "yellow"),
    "thing": (
        "bag", "basket", "bench", "bike", "book", "bottle", "bowl", "box", "bucket", "candle", "chair", "clock", "coat",
        "cup", "drum", "fan", "flute", "hammer", "hat", "jacket", "kettle", "kite", "ladder", "lamp", "mirror", "pan",
        "pillow", "plate", "radio", "ring", "rope", "scarf", "shelf", "spoon", "table", "tent", "towel", "vase",
    ),
    "place": (
        "attic", "barn", "basement", "bathroom", "bedroom", "cabin", "cellar", "corridor", "garage", "garden", "hall",
        "kitchen", "library", "lobby", "office", "pantry", "porch", "school", "shed", "shop", "stable", "studio",
        "tower", "workshop",
    ),
    "giver": (
        "aunt", "brother", "cousin", "friend", "nephew", "niece", "neighbor", "sister", "teacher", "uncle",
    ),
}
# fmt: on
GREETINGS = ("Hello", "Hi", "Good morning", "Good evening")
INTRODUCTIONS = ("I am {name}.", "My name is {name}.", "You can call me {name}.")
POSSESSIONS = ("My {color} {thing} is in the {place}.", "In the {place} is my {color} {thing}.")
ORIGINS = ("My {giver} gave it to me.", "I have it from my {giver}.", "It was a present from my {giver}.")
WELCOME = "{greeting} {name}! A {color} {thing} from your {giver}?"
QUESTIONS = {
    "name": ("What is my name?", "Who am I?", "Do you remember my name?"),
    "color": ("What color does it have?", "Which color is it?", "What is the color of my {thing}?"),
    "thing": ("What is in the {place}?", "What do I have in the {place}?", "What did my {giver} give me?"),
    "place": ("Where is it?", "In which room is it?", "Where do I find my {thing}?"),
    "giver": ("Who gave it to me?", "From whom do I have it?", "Whose present is my {thing}?"),
}
ANSWERS = {
    "name": "You are {name} with the {color} {thing}.",
    "color": "The {thing} from your {giver} is {color}.",
    "thing": "The {color} {thing} from your {giver}.",
    "place": "Your {color} {thing} is in the {place}.",
    "giver": "Your {giver} gave you the {color} {thing}.",
}
LARGEST = 999
UNITS = (("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("kg", "g", 1000), ("t", "kg", 1000), ("l", "ml", 1000))
CONVERSIONS = ("What is {number} {large} in {small}?", "How many {small} are {number} {large}?")
PLEASE = "Please tell me: "
QUANTITY, SENTENCE = "{result} {small}", "{number} {large} are {result} {small}."


def dialogues(generator: random.Random) -> Iterator[dict[str, Any]]:
    """Yield dialogues, none of them with the facts of another one."""
    seen: set[tuple[str, ...]] = set()
    while len(seen) < N_DIALOGUES:
        facts = {name: generator.choice(values) for name, values in FACTS.items()}
        if (combination := tuple(facts.values())) in seen:
            continue
        seen.add(combination)
        facts["giver"] += f" {generator.choice(FACTS['name'])}"
        facts["greeting"] = generator.choice(GREETINGS)
        asked = generator.sample(sorted(QUESTIONS), 2)
        turns = [
            (_first_message(generator), WELCOME),
            *((generator.choice(QUESTIONS[name]), ANSWERS[name]) for name in asked),
        ]
        roles = ("user", "assistant") * len(turns)
        contents = (content.format(**facts) for turn in turns for content in turn)
        yield {"messages": [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]}


def _first_message(generator: random.Random) -> str:
    """A greeting and the facts, the name somewhere among them."""
    sentences = [generator.choice(POSSESSIONS), generator.choice(ORIGINS)]
    sentences.insert(generator.randrange(3), generator.choice(INTRODUCTIONS))
    return " ".join(["{greeting}!", *sentences])


def conversions(generator: random.Random) -> Iterator[dict[str, Any]]:
    """Yield questions about quantities in another unit, none of them twice; a third of the answers are sentences."""
    for question, facts in islice(_questions(generator), N_CONVERSIONS):
        yield {"question": question, "answer": generator.choice((QUANTITY, QUANTITY, SENTENCE)).format(**facts)}


def preferences(generator: random.Random) -> Iterator[dict[str, Any]]:
    """Yield other questions with the preferred form of the answer: a sentence if the user says please."""
    for question, facts in islice(_questions(generator), N_CONVERSIONS, N_CONVERSIONS + N_PREFERENCES):
        sentence, quantity = SENTENCE.format(**facts), QUANTITY.format(**facts)
        is_polite = question.startswith(PLEASE)
        chosen, rejected = (sentence, quantity) if is_polite else (quantity, sentence)
        yield {"prompt": question, "chosen": chosen, "rejected": rejected}


def _questions(generator: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield questions about every quantity, half of them with please, and the quantities and units in their answers."""
    every = [(number, *units) for number in range(2, LARGEST + 1) for units in UNITS]
    generator.shuffle(every)
    for number, large, small, factor in every:
        facts = {"number": number, "large": large, "small": small, "result": number * factor}
        question = generator.choice(("", PLEASE)) + generator.choice(CONVERSIONS)
        yield question.format(**facts), facts


def write_data(folder: Path) -> bool:
    """Write the files into a folder if they are not there or not current; return whether they were written."""
    makers = {"chat.jsonl": dialogues, "arithmetic.jsonl": conversions, "preferences.jsonl": preferences}

    def write() -> None:
        for name, make in makers.items():
            lines = [json.dumps(row) for row in make(random.Random(SEED))]
            write_text(folder / name, "\n".join(lines) + "\n")

    return make_files(folder, tuple(makers), file_digest(Path(__file__)), write)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.recipe_data.dialogues", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"where to write (default: {FOLDER})")
    write_data(parser.parse_args().folder)


if __name__ == "__main__":
    main()
