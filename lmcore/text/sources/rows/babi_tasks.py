"""Which of bAbI's 20 tasks a story is from, by the form of its questions and the words of its sentences.

Files in which the tasks are mixed do not name them. The generator of the tasks gives each its own form of questions, or
its own sentences, so these rules assign exactly 1,000 questions to every task in the published files.

Source: Weston et al. (2015), https://arxiv.org/abs/1502.05698, tables 1 and 2.
"""

import re
from collections.abc import Sequence

TASKS = (
    "1 single supporting fact",
    "2 two supporting facts",
    "3 three supporting facts",
    "4 two argument relations",
    "5 three argument relations",
    "6 yes/no questions",
    "7 counting",
    "8 lists/sets",
    "9 simple negation",
    "10 indefinite knowledge",
    "11 basic coreference",
    "12 conjunction",
    "13 compound coreference",
    "14 time reasoning",
    "15 basic deduction",
    "16 basic induction",
    "17 positional reasoning",
    "18 size reasoning",
    "19 path finding",
    "20 agent's motivations",
)
RULES = (
    (2, r"^where is the ", ""),
    (3, r"^where was the .* before ", ""),
    (4, r"^what is (?:the .*)?(?:north|south|east|west) of", ""),
    (5, r"^(?:who |what did )", ""),
    (7, r"^how many ", ""),
    (8, r"^what is \w+ carrying", ""),
    (10, r"^is \w+ in the ", r"\b(?:either|school|park|cinema)\b"),
    (9, r"^is \w+ in the ", r" (?:is in|not in|no longer) "),
    (6, r"^is \w+ in the ", ""),
    (13, r"^where is \w+\?", r"\bthey\b"),
    (11, r"^where is \w+\?", r"\bs?he\b"),
    (12, r"^where is \w+\?", r"^\w+ and \w+ "),
    (1, r"^where is \w+\?", ""),
    (14, r"^where was \w+ before ", ""),
    (15, r"^what is \w+ afraid of", ""),
    (16, r"^what color is ", ""),
    (17, r"^is .*(?:above|below|to the (?:left|right) of) ", ""),
    (18, r"^(?:does .* fit in |is .* bigger than )", ""),
    (19, r"^how do you go ", ""),
    (20, r"^(?:where will|why did) ", ""),
)
"""A task, the form of its first question, and what a sentence of its story has; the first rule that fits counts."""


def task_of(sentences: Sequence[str], questions: Sequence[str]) -> str:
    """The number and the name of the task, one of :data:`TASKS`; empty if no rule fits.

    Args:
        sentences: all sentences of a story.
        questions: all questions about it.
    """
    first, story = questions[0].lower() if questions else "", "\n".join(sentences).lower()
    for number, question, words in RULES:
        if re.search(question, first) and re.search(words, story, re.MULTILINE):
            return TASKS[number - 1]
    return ""
