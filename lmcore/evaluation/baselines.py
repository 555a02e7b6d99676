"""What a model has to beat: simple predictors trained on the very examples it was trained on."""

import re
from collections import Counter
from collections.abc import Sequence

from lmcore.evaluation.config import BagOfWordsConfig
from lmcore.text.words import WORD_OR_CHARACTER

SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s|\n\s*\n|(?<=[\u3002\uff01\uff1f])(?![\u201d\u300d])")


def majority_class(labels: Sequence[str], n_texts: int) -> list[str]:
    """The commonest label (the first in the alphabet among equals) for each of ``n_texts`` texts."""
    counts = Counter(labels)
    commonest = min(counts, key=lambda label: (-counts[label], label))
    return [commonest] * n_texts


def bag_of_words(
    train_texts: Sequence[str], train_labels: Sequence[str], texts: Sequence[str], config: BagOfWordsConfig
) -> list[str]:
    """Labels by a logistic regression over the weighted words and phrases of a text (sublinear tf-idf).

    Raises:
        ConvergenceWarning: as an error where warnings are errors, if ``max_iterations`` were too few.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(
        max_features=config.max_features,
        ngram_range=(1, config.longest_phrase_words),
        sublinear_tf=True,
        token_pattern=WORD_OR_CHARACTER.pattern,
    )
    # With so many sparse features, Newton steps reach the optimum several times sooner than the default solver.
    regression = LogisticRegression(C=config.inverse_regularization, max_iter=config.max_iterations, solver="newton-cg")
    pipeline = make_pipeline(words, regression)
    pipeline.fit(train_texts, train_labels)
    return [str(label) for label in pipeline.predict(texts)]


def first_sentence(text: str) -> str:
    """A text up to its first sentence end or empty line, its white space collapsed."""
    return " ".join(SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())
