"""When two short answers are the same, as in the evaluation of SQuAD.

Source: Rajpurkar et al. (2016), https://aclanthology.org/D16-1264: case, punctuation, the articles "a", "an" and "the"
and white space do not count.
"""

import re
import string

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """An answer without what does not count."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())
