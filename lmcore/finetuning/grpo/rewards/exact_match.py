"""Whether an answer is the expected one."""


def exact_match(answer: str, expected: str) -> float:
    """1 if the texts are equal except for case and white space around and between words, else 0."""
    return float(answer.casefold().split() == expected.casefold().split())
