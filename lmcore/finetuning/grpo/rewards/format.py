"""Whether an answer has the form that was asked for."""

import re


def matches_format(answer: str, expected: str, *, pattern: str) -> float:
    """1 if the whole answer, without white space around it, matches the regular expression, else 0."""
    return float(re.fullmatch(pattern, answer.strip(), re.DOTALL) is not None)
