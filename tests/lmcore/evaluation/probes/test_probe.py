import json
from dataclasses import replace

from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.evaluation.result import Estimate


def test_a_probe_is_the_same_after_a_round_trip_through_json():
    rows = [ProbeRow(("16 tokens", "once"), 100, Estimate(0.1, 0.0, 0.2))]
    probe = Probe("memorization", "Memorization", "How.", "reproduced", "fraction", ("prefix", "times"), rows)
    assert Probe.from_json(json.loads(json.dumps(probe.as_json()))) == probe


def test_a_table_has_a_column_for_each_value_of_the_condition_across():
    estimates = [Estimate(float(number), 0.0, 9.0) for number in range(4)]
    conditions = [("short", "once"), ("short", "twice"), ("long", "once"), ("long", "twice")]
    rows = [ProbeRow(found, 7, own) for found, own in zip(conditions, estimates, strict=True)]
    probe = Probe("memory", "Memory", "How.", "texts", "fraction", ("prefix", "times"), rows, across="prefix")
    assert probe.downwards == ["times"]
    assert probe.columns == ["texts, short", "texts, long"]
    assert probe.table == [(("once",), 7, [estimates[0], estimates[2]]), (("twice",), 7, [estimates[1], estimates[3]])]
    flat = replace(probe, across=None)
    assert (flat.downwards, flat.columns) == (["prefix", "times"], ["texts"])
    assert flat.table == [(own, 7, [found]) for own, found in zip(conditions, estimates, strict=True)]
