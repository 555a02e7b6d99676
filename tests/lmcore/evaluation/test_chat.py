import numpy as np
import pytest

from lmcore.evaluation.chat import AnsweredTurns, evaluate_chat
from lmcore.evaluation.names import LAST_TURN, MODEL, NEAREST_NEIGHBOR
from tests.lmcore.evaluation.evaluation_settings import CONFIG


def turns(*names: str) -> AnsweredTurns:
    """Two turns about each name: the second question needs the first one."""
    rows = [
        row
        for name in names
        for row in (
            (name, 1, f"user: I am {name}.", f"I am {name}.", f"Hello {name}!"),
            (name, 2, f"user: I am {name}.\nassistant: Hello {name}!\nuser: Who am I?", "Who am I?", name),
        )
    ]
    return AnsweredTurns(*zip(*rows, strict=True))


def test_answers_are_counted_by_turn_beside_retrieval() -> None:
    test = turns("Anna", "Berta", "Carla", "Dora")
    answers = [*test.answers[:7], "Emma"]
    result = evaluate_chat(
        "GPT",
        answers,
        test,
        training=turns("Anna", "Berta", "Emil", "Franz"),
        validation=turns("Anna", "Emil"),
        is_clean=np.ones(8, bool),
        config=CONFIG,
    )
    first, second = result.details["turns"]
    assert (first["turn"], first["n_answers"], second["turn"]) == (1, 4, 2)
    assert first[MODEL]["value"] == 1.0
    assert second[MODEL]["value"] == 0.75
    assert second[MODEL]["low"] < 0.75 < second[MODEL]["high"]
    # The nearest conversation knows two of four names; the last question alone says none.
    assert second[NEAREST_NEIGHBOR]["value"] == 0.5
    assert second[LAST_TURN]["value"] == 0.25
    assert result.details["strongest_baseline"] == NEAREST_NEIGHBOR
    assert second["difference"]["value"] == pytest.approx(0.25)
    assert result.metrics.models[MODEL]["exact_match"].value == 7 / 8
    assert [row["model"] for row in result.details["completions"]] == answers
