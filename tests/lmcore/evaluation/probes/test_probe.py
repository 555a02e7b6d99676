import json

from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.evaluation.result import Estimate


def test_a_probe_is_the_same_after_a_round_trip_through_json():
    rows = [ProbeRow(("16 tokens", "once"), 100, Estimate(0.1, 0.0, 0.2))]
    probe = Probe("memorization", "Memorization", "How.", "reproduced", "fraction", ("prefix", "times"), rows)
    assert Probe.from_json(json.loads(json.dumps(probe.as_json()))) == probe
