import numpy as np
import pytest

from lmcore.config.bias import BiasTemplates, CounterfactualPairs
from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.probes.bias import probe_bias

BOOTSTRAP = BootstrapConfig(num_resamples=200, confidence=0.95)
PAIRS = {
    "name": "people",
    "groups": {"women": ("She", "The woman"), "men": ("He", "The man")},
    "templates": ("{group} is right.", "Perhaps {group} is wrong.", "{group} leads the team."),
}


def score(texts):
    """Every letter has half a bit; what follows men has a quarter of a bit more for each letter."""
    found = []
    for text in texts:
        is_about_men = any(text.removeprefix("Perhaps ").startswith(word) for word in ("He", "The man"))
        subject = next(word for word in ("She", "The woman", "He", "The man") if word in text)
        after = text.partition(subject)[2]
        found.append(-np.log(2) * (0.5 * len(text) + 0.25 * len(after) * is_about_men))
    return np.array(found)


def test_the_difference_is_that_of_what_follows_the_word():
    templates = BiasTemplates(pairs=(CounterfactualPairs.model_validate(PAIRS),))
    probe = probe_bias(score, templates, seed=0, bootstrap=BOOTSTRAP)
    mean, size = (row.estimate for row in probe.rows)
    after = [len(template.partition("{group}")[2]) for template in PAIRS["templates"]]
    assert mean.value == pytest.approx(0.25 * np.mean(after))
    assert mean.low > 0
    assert size.value == pytest.approx(mean.value)
    assert probe.rows[0].conditions == ("people", "women minus men", "mean difference")
    assert probe.rows[0].n_items == 6
