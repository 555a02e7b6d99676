"""Multiple choice by likelihood: a model that knows the pairs is always right, one that knows nothing guesses."""

import numpy as np
import pytest
import torch

from lmcore.config.tokenize import BytePairConfig
from lmcore.errors import UserError
from lmcore.evaluation.language_models.scoring import NeuralScorer
from lmcore.evaluation.multiple_choice import BEFORE_ANSWER, MultipleChoice, SolvedQuestion, solved_questions
from lmcore.models.families import build_model
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.evaluation.evaluation_settings import CONFIG
from tests.lmcore.models.small_models import GPT_CONFIG

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
QUESTIONS = [
    SolvedQuestion(f"The {one} and the {other} are added.", f"Return {one} plus {other}.")
    for one in WORDS
    for other in WORDS
]
CONTEXT = 120


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [f"{question.question}{BEFORE_ANSWER}{question.answer}" for question in QUESTIONS]
    return train_tokenizer(texts, BytePairConfig(kind="byte_pair", vocabulary_size=350))


def make_task(tokenizer: Tokenizer, **changes: int) -> MultipleChoice:
    settings = {"n_options": 4, "max_examples": 2, "context": CONTEXT, "seed": 1} | changes
    return MultipleChoice(tokenizer, QUESTIONS[:40], QUESTIONS[40:], **settings)


def test_question_and_answer_are_the_rest_and_the_first_paragraph() -> None:
    texts = [
        "Return the number of rows.\n\nRows that are empty do not count, whatever their columns contain or do not.",
        "Too short.\n\nRows that are empty do not count, whatever their columns contain or do not contain.",
        "A text without a second paragraph is no question at all.",
    ]
    (found,) = solved_questions(texts)
    assert found.answer == "Return the number of rows."
    assert found.question.startswith("Rows that are empty")


def test_a_likelihood_that_favors_the_right_answer_after_its_question_alone_is_always_right(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wrong answer is more likely by itself: only the comparison with the empty question finds the right one."""
    task = make_task(tokenizer)
    right = {np.concatenate((choice.question, choice.options[choice.right])).tobytes() for choice in task.choices}

    def likelihood(_scorer: object, documents: list[np.ndarray]) -> list[np.ndarray]:
        scores = [-(document % 7.0) for document in documents]  # some words are more common than others
        for document, score in zip(documents, scores, strict=True):
            score[-1] += 0.5 * (document.tobytes() in right)
        return scores

    monkeypatch.setattr(NeuralScorer, "log_probabilities", likelihood)
    model = build_model(GPT_CONFIG.model_copy(update={"max_position_embeddings": CONTEXT}), tokenizer.vocabulary)
    assert task.chance == 0.25
    assert task.answer(model, n_examples=0, config=CONFIG.likelihood).all()
    assert not task.answer(model, n_examples=1, config=CONFIG.likelihood).all()  # the examples are read, too


@pytest.mark.parametrize("n_examples", [0, 2])
def test_a_model_that_has_learned_nothing_is_near_chance(tokenizer: Tokenizer, n_examples: int) -> None:
    torch.manual_seed(0)
    model = build_model(GPT_CONFIG.model_copy(update={"max_position_embeddings": CONTEXT}), tokenizer.vocabulary)
    hits = make_task(tokenizer).answer(model, n_examples=n_examples, config=CONFIG.likelihood)
    assert hits.shape == (40,)
    assert 0.02 < hits.mean() < 0.55


def test_examples_question_and_answer_fit_into_the_context_and_the_same_seed_asks_the_same(
    tokenizer: Tokenizer,
) -> None:
    first, second = make_task(tokenizer), make_task(tokenizer)
    for number, (one, other) in enumerate(zip(first.choices, second.choices, strict=True)):
        assert np.array_equal(one.question, other.question)
        assert one.right == other.right
        assert len({option.tobytes() for option in one.options}) == 4
        shown = first._shown(number, 2)
        assert len(shown) + len(one.question) + max(map(len, one.options)) <= CONTEXT
    positions = np.bincount([choice.right for choice in first.choices], minlength=4)
    assert positions.min() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"n_options": 41}, "40 questions"), ({"max_examples": 100}, "examples"), ({"context": 12}, "too short")],
)
def test_too_few_documents_or_too_short_a_context_are_refused(
    tokenizer: Tokenizer, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_task(tokenizer, **changes)
