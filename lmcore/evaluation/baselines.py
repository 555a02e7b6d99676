"""What a model has to beat: simple predictors trained on the very examples it was trained on."""

import re
from collections import Counter
from collections.abc import Sequence

SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s|\n\s*\n|(?<=[\u3002\uff01\uff1f])(?![\u201d\u300d])")


def majority_class(labels: Sequence[str], n_texts: int) -> list[str]:
    """The commonest label (the first in the alphabet among equals) for each of ``n_texts`` texts."""
    counts = Counter(labels)
    commonest = min(counts, key=lambda label: (-counts[label], label))
    return [commonest] * n_texts


def first_sentence(text: str) -> str:
    """A text up to its first sentence end or empty line, its white space collapsed."""
    return " ".join(SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())
