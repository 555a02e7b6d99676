import numpy as np

from lmcore.evaluation.names import BASE, MODEL
from lmcore.evaluation.preferences import evaluate_preferences, evaluate_rewards
from lmcore.evaluation.report.views import CompletionView
from lmcore.evaluation.result import pair_name
from tests.lmcore.evaluation.evaluation_settings import CONFIG

NAMES = {MODEL: "trained", BASE: "before"}


def test_a_model_prefers_what_is_more_probable_and_is_rewarded_for_what_became_so() -> None:
    model = np.array([[-1.0, -2.0], [-3.0, -2.0], [-1.0, -4.0], [-2.0, -5.0]])
    base = np.array([[-2.0, -1.0], [-5.0, -2.0], [-1.0, -4.0], [-2.0, -2.5]])
    result = evaluate_preferences(NAMES, model, base, 0.5, np.ones(4, bool), CONFIG, [])
    own, before = result.metrics.models[MODEL], result.metrics.models[BASE]
    assert own["preference_accuracy"].value == 0.75
    assert before["preference_accuracy"].value == 0.5
    assert own["reward_accuracy"].value == 0.75  # 2, 2, 0 and 2.5 nats gained
    assert own["reward_margin"].value == 0.5 * (2 + 2 + 0 + 2.5) / 4
    assert result.metrics.differences[pair_name(MODEL, BASE)]["preference_accuracy"].value == 0.25
    assert result.headline == "preference_accuracy_clean"
    view = CompletionView(result)
    assert view.verdict(MODEL, BASE) == "not distinguishable"
    assert [metric.name for metric in view.quality] == ["preference_accuracy"]


def test_rewards_are_compared_on_the_same_prompts() -> None:
    rewards, before = np.array([1.0] * 30 + [0.0] * 10), np.array([1.0] * 10 + [0.0] * 30)
    result = evaluate_rewards(NAMES, rewards, before, np.ones(40, bool), CONFIG, [])
    gain = result.metrics.differences[pair_name(MODEL, BASE)]["reward"]
    assert gain.value == 0.5
    assert 0.0 < gain.low < 0.5 < gain.high
    assert result.metrics.models[MODEL]["reward"].value == 0.75
