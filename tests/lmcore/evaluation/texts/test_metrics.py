import numpy as np
import pytest

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.texts.metrics import TextMetrics

TEXTS = ["Return the sum.", "Compute a mean over an axis.", "the last axis of it", "Plot."]
REFERENCES = ["Return the sum.", "Compute the mean over one axis.", "The last axis.", "Draw a plot."]
BOOTSTRAP = Bootstrap(4, BootstrapConfig(num_resamples=100, confidence=0.95), seed=0)


def test_every_metric_has_a_signature_and_its_value_lies_in_its_interval():
    system = TextMetrics(TEXTS, REFERENCES)
    found = system.metrics(BOOTSTRAP)
    assert set(found) == set(system.signatures)
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(system.value(name))
        assert estimate.low <= estimate.value <= estimate.high


def test_a_selection_is_like_a_system_with_these_texts_alone():
    chosen = TextMetrics(TEXTS, REFERENCES).select(np.array([0, 2]))
    alone = TextMetrics(TEXTS[::2], REFERENCES[::2])
    for name in chosen.signatures:
        assert chosen.value(name) == pytest.approx(alone.value(name))


def test_a_system_does_not_differ_from_itself():
    system = TextMetrics(TEXTS, REFERENCES)
    for difference in system.differences(system, BOOTSTRAP).values():
        assert (difference.value, difference.p_value) == (0.0, 1.0)
