"""How well a model answers in conversations, turn by turn, compared with retrieval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.completion import evaluate_completions
from lmcore.evaluation.completion_baselines import completion_baselines
from lmcore.evaluation.intervals import Flags, proportion, proportion_difference
from lmcore.evaluation.names import FREQUENT_COMPLETION, LAST_TURN, MODEL, NEAREST_NEIGHBOR
from lmcore.evaluation.result import HEADLINE, EvaluationResult

METRIC = "exact_match"
BASELINES = (NEAREST_NEIGHBOR, LAST_TURN, FREQUENT_COMPLETION)


@dataclass(frozen=True)
class AnsweredTurns:
    """The assistant's messages in conversations, one after the other.

    Attributes:
        ids: the ids of their documents.
        turns: which of the assistant's messages each is, from 1.
        conversations: the messages before each, as text.
        questions: the last of these.
        answers: the assistant's messages.
    """

    ids: Sequence[str]
    turns: Sequence[int]
    conversations: Sequence[str]
    questions: Sequence[str]
    answers: Sequence[str]


def evaluate_chat(
    name: str,
    answers: Sequence[str],
    test: AnsweredTurns,
    *,
    training: AnsweredTurns,
    validation: AnsweredTurns,
    is_clean: Flags,
    config: EvaluateConfig,
) -> EvaluationResult:
    """Evaluate a model's answers, each to the reference conversation up to that turn.

    The baselines give the answer of the training example whose conversation so far, or whose last message, is most
    similar. By turn, only exact matches count, with the interval of Clopper and Pearson.

    Args:
        name: the name of the model in text.
        answers: its answers.
        test: the turns to answer, with the expected answers.
        training: the turns that the model was trained on, from which the baselines copy.
        validation: turns that select among the baselines.
        is_clean: which test documents share nothing with the training split, bool (n_turns,).
        config: seed, confidence intervals, and the settings of completions.
    """
    selection = config.completion.model_copy(update={"metric": METRIC})
    by_conversation, by_question = (
        completion_baselines(
            (getattr(training, part), training.answers),
            (getattr(validation, part), validation.answers),
            getattr(test, part),
            selection,
        )
        for part in ("conversations", "questions")
    )
    systems = {
        MODEL: list(answers),
        NEAREST_NEIGHBOR: by_conversation.completions[NEAREST_NEIGHBOR],
        LAST_TURN: by_question.completions[NEAREST_NEIGHBOR],
        FREQUENT_COMPLETION: by_conversation.completions[FREQUENT_COMPLETION],
    }
    on_validation = {
        NEAREST_NEIGHBOR: by_conversation.validation[NEAREST_NEIGHBOR],
        LAST_TURN: by_question.validation[NEAREST_NEIGHBOR],
        FREQUENT_COMPLETION: by_conversation.validation[FREQUENT_COMPLETION],
    }
    metrics, signatures = evaluate_completions(systems, test.answers, test.ids, is_clean, config)
    names = {
        MODEL: name,
        NEAREST_NEIGHBOR: "answer to the most similar training conversation",
        LAST_TURN: "answer to the most similar training question, without what came before",
        FREQUENT_COMPLETION: "most frequent answer",
    }
    strongest = max(BASELINES, key=lambda baseline: on_validation[baseline])
    rows = [
        {"id": identity, "turn": turn, "prompt": conversation, "reference": answer}
        | {system: own[index] for system, own in systems.items()}
        for index, (identity, turn, conversation, answer) in enumerate(
            zip(test.ids, test.turns, test.conversations, test.answers, strict=True)
        )
    ]
    details = {
        HEADLINE: METRIC,
        "strongest_baseline": strongest,
        "validation": {baseline: round(value, 4) for baseline, value in on_validation.items()},
        "signatures": signatures,
        "turns": _by_turn(systems, test, strongest, config.bootstrap.confidence),
        "completions": rows,
    }
    return EvaluationResult(names, metrics, details)


def _by_turn(
    systems: dict[str, list[str]], test: AnsweredTurns, strongest: str, confidence: float
) -> list[dict[str, Any]]:
    """Exact matches of every system at each turn, and the model's difference to the strongest baseline."""
    hits = {
        system: np.array([own == expected for own, expected in zip(answers, test.answers, strict=True)], bool)
        for system, answers in systems.items()
    }
    turns = np.array(test.turns)
    return [
        {
            "turn": int(turn),
            "n_answers": int((turns == turn).sum()),
            **{system: proportion(flags[turns == turn], confidence).as_json() for system, flags in hits.items()},
            "difference": proportion_difference(
                hits[MODEL][turns == turn], hits[strongest][turns == turn], confidence
            ).as_json(),
        }
        for turn in np.unique(turns)
    ]
