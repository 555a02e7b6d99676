"""Makes the data of the recipe summaries: ``python -m flows.recipe_data.appointments [FOLDER]``.

``appointments.jsonl`` has conversations in which two people agree on a day, an hour and a place to meet, and on what
one of them brings, each with a summary of what was agreed. Proposals are accepted or refused, and other days and places
are mentioned, so the agreement is often neither what was said first nor what was said last. All of it is synthetic, and
equal seeds make equal files.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.recipe_data import dialogues
from flows.recipe_data.dialogues import FACTS
from flows.recipe_data.made_files import make_files
from lmcore.runtime.files import file_digest, write_text

FOLDER = Path(".work/appointments")
FILE = "appointments.jsonl"
SEED = 20
N_CONVERSATIONS = 6_000
MAX_CHANGES, P_ACCEPTED = 3, 0.6
CHOICES = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "hour": ("eight", "nine", "ten", "eleven", "noon", "one", "two", "three", "four", "five", "six", "seven"),
    "place": FACTS["place"],
}
MENTIONED = {"day": CHOICES["day"], "place": FACTS["place"], "giver": FACTS["giver"]}
"""What small talk is about; a place or a day may be that of the meeting by chance."""
OPENINGS = (
    "Shall we meet on {day} at {hour} in the {place}?",
    "Are you free on {day}? We could meet at {hour} in the {place}.",
    "I would like to see you in the {place}. Is {day} at {hour} all right?",
    "Let us meet in the {place}, on {day} at {hour}.",
)
OBJECTIONS = {
    "day": ("I have no time on {old}. What about {new}?", "{old} is difficult. Could it be {new}?"),
    "hour": ("I cannot come at {old}. Is {new} possible?", "At {old} I am still busy. What about {new}?"),
    "place": ("The {old} is closed. How about the {new}?", "Not the {old}, please. Can we take the {new}?"),
}
ACCEPTANCES = {
    "day": ("Yes, {new} is fine.", "Agreed.", "Good, on {new} then."),
    "hour": ("Yes, at {new}.", "Agreed.", "That is all right."),
    "place": ("Yes, I like the {new}.", "Agreed.", "Good idea."),
}
REFUSALS = {
    "day": ("No, I am away on {new}.", "Sorry, {new} is worse. Please keep {old}."),
    "hour": ("No, that is not possible.", "Sorry, {new} is worse. Please keep {old}."),
    "place": ("No, the {new} is too small.", "Sorry, not the {new}. Let us stay with the {old}."),
}
CONCESSIONS = ("Then we leave it as it is.", "Well, then I will manage.", "Fine, no change then.")
CONSENTS = ("With pleasure.", "Yes, that suits me.", "I will be there.")
SMALL_TALK = (
    ("How was your {day}?", "Very quiet, thank you."),
    ("By the way, I saw your {giver} on {day}.", "Really? I have not heard from my {giver} for weeks."),
    ("Have you been to the {place} lately?", "Not since {day}."),
    ("My {giver} is coming on {day}.", "How nice. Say hello from me."),
)
OFFERS = (("I will bring the {thing}.", "Thank you."), ("Do we need a {thing}? I have one.", "Yes, please bring it."))
REQUESTS = (("Could you bring the {thing}?", "Yes, of course."), ("I have no {thing}.", "Then I will bring mine."))
FAREWELLS = (("See you then.", "See you."), ("Until then.", "Goodbye."), ("Good.", "I am looking forward to it."))
SUMMARY = "{first} and {second} meet on {day} at {hour} in the {place}. {bringer} brings the {thing}."


Line = tuple[int, str]
"""Which of the two people says what."""


def conversations(generator: random.Random) -> Iterator[dict[str, str]]:
    """Yield conversations with their summaries."""
    for _ in range(N_CONVERSATIONS):
        people, thing = generator.sample(FACTS["name"], 2), generator.choice(FACTS["thing"])
        agreed = {slot: generator.choice(values) for slot, values in CHOICES.items()}
        lines = [(0, generator.choice(OPENINGS).format(**agreed)), *_changes(agreed, generator)]
        bringer, asker = generator.randrange(2), generator.randrange(2)
        exchanges = [
            (generator.randrange(2), generator.choice(SMALL_TALK)),
            (asker, generator.choice(OFFERS if asker == bringer else REQUESTS)),
            (generator.randrange(2), generator.choice(FAREWELLS)),
        ]
        for speaker, said in exchanges:
            mentioned = {slot: generator.choice(values) for slot, values in MENTIONED.items()} | {"thing": thing}
            lines += _exchange(speaker, [sentence.format(**mentioned) for sentence in said])
        yield {
            "conversation": "\n".join(f"{people[speaker]}: {sentence}" for speaker, sentence in lines),
            "summary": SUMMARY.format(
                first=people[0], second=people[1], bringer=people[bringer], thing=thing, **agreed
            ),
        }


def _changes(agreed: dict[str, str], generator: random.Random) -> Iterator[Line]:
    """Yield other proposals, or the consent to the first one; ``agreed`` becomes what was agreed."""
    for number in range(n_changes := generator.randint(0, MAX_CHANGES)):
        speaker = 1 if number == 0 else generator.randrange(2)
        slot, values = generator.choice(list(CHOICES.items()))
        old = agreed[slot]
        new = generator.choice([value for value in values if value != old])
        is_accepted = generator.random() < P_ACCEPTED
        answers = ACCEPTANCES if is_accepted else REFUSALS
        said = [generator.choice(sentences[slot]).format(old=old, new=new) for sentences in (OBJECTIONS, answers)]
        yield from _exchange(speaker, said)
        if is_accepted:
            agreed[slot] = new
        else:
            yield speaker, generator.choice(CONCESSIONS)
    if not n_changes:
        yield 1, generator.choice(CONSENTS)


def _exchange(speaker: int, said: Sequence[str]) -> Iterator[Line]:
    """Yield what one person says and the other one answers."""
    yield speaker, said[0]
    yield 1 - speaker, said[1]


def write_data(folder: Path) -> bool:
    """Write the file into a folder if it is not there or not current; return whether it was written."""

    def write() -> None:
        lines = [json.dumps(row) for row in conversations(random.Random(SEED))]
        write_text(folder / FILE, "\n".join(lines) + "\n")

    origin = " ".join(file_digest(Path(module)) for module in (__file__, dialogues.__file__))
    return make_files(folder, (FILE,), origin, write)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.recipe_data.appointments", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"where to write (default: {FOLDER})")
    write_data(parser.parse_args().folder)


if __name__ == "__main__":
    main()
