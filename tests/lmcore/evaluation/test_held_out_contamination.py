"""Text shared between held-out documents and the training split, compared with runs of words found one by one."""

import numpy as np
import pytest

from lmcore.evaluation.held_out_contamination import find_contamination, measure_all_and_clean
from lmcore.evaluation.result import Estimate, Metrics
from lmcore.text.words.segmentation import bare_words_of

WORDS = ["Return", "the", "sum", "of", "an", "array", "naïve", "数", "axis", "tensor"]
LENGTH = 4


def random_texts(seed: int, n_texts: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(0, 30))) + ".\n" for _ in range(n_texts)]


def shared_one_by_one(text: str, training: list[str]) -> float:
    """The fraction of a text's words in runs that occur in a training text; for a short text, 0 or 1."""
    known = [bare_words_of(other.lower()) for other in training]
    words = bare_words_of(text.lower())
    if not words:
        return 0.0
    if len(words) < LENGTH:
        return float(words in known)
    runs = {tuple(own[start : start + LENGTH]) for own in known for start in range(len(own) - LENGTH + 1)}
    is_shared = np.zeros(len(words), bool)
    for start in range(len(words) - LENGTH + 1):
        is_shared[start : start + LENGTH] |= tuple(words[start : start + LENGTH]) in runs
    return float(is_shared.mean())


def test_shared_words_are_those_in_a_run_of_a_training_text():
    held_out, training = random_texts(1, 40), [*random_texts(2, 40), "The SUM, of"]
    held_out.append("the sum of")
    # In batches of any size, and in a text so long that it is hashed in several parts with others.
    found = find_contamination(
        lambda: [held_out[:7], [], held_out[7:]], lambda: [training[:1], training[1:]], ngram_words=LENGTH
    )
    assert found.shared == pytest.approx([shared_one_by_one(text, training) for text in held_out])
    assert found.shared[-1] == 1.0
    assert 0 < np.count_nonzero(found.is_clean) < len(held_out)
    assert found.n_words.tolist() == [len(bare_words_of(text)) for text in held_out]


@pytest.mark.parametrize("n_held_out", [4, 30])
def test_a_template_that_all_prompts_have_is_not_shared_text(n_held_out):
    template = "Below is an instruction that describes a task. Write a response that completes it."
    own = [f"word{n} word{n + 1} word{n + 2} word{n + 3} word{n + 4}" for n in range(0, 300, 5)]
    held_out, training = (
        [f"{template} {text}" for text in own[:n_held_out]],
        [f"{template} {text}" for text in own[n_held_out - 1 :]],
    )
    found = find_contamination(lambda: [held_out], lambda: [training], ngram_words=LENGTH)
    assert np.flatnonzero(~found.is_clean).tolist() == [n_held_out - 1]


def test_a_single_held_out_text_is_no_template():
    shared = find_contamination(lambda: [["a b c d e f"]], lambda: [["x a b c d"]], ngram_words=LENGTH).shared
    assert shared == pytest.approx([4 / 6])


def test_without_held_out_or_training_texts_nothing_is_shared():
    assert find_contamination(lambda: [["a b c d e"]], list, ngram_words=LENGTH).is_clean.all()
    assert len(find_contamination(list, lambda: [["a b c d e"]], ngram_words=LENGTH).shared) == 0


def test_every_metric_has_that_of_the_clean_documents_next_to_it():
    def measure(indices: np.ndarray) -> Metrics:
        total = float(indices.sum())
        return Metrics({"model": {"loss": Estimate(total, total, total)}}, {}, {"n_documents": len(indices)})

    both = measure_all_and_clean(np.array([True, False, True]), measure)
    assert both.as_json() == {
        "model": {
            "loss": {"value": 3.0, "low": 3.0, "high": 3.0},
            "loss_clean": {"value": 2.0, "low": 2.0, "high": 2.0},
        },
        "differences": {},
        "n_documents": 3,
        "n_documents_clean": 2,
    }
    assert measure_all_and_clean(np.array([False, False]), measure) == measure(np.arange(2))
    assert measure_all_and_clean(np.array([True, True]), measure).n_clean == 2
