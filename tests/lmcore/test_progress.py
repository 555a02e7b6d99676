"""What a line of progress says of the time that is left."""

import logging

import pytest

from lmcore import progress


def test_steps_of_an_earlier_run_are_not_taken_for_quick_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO)
    with progress.progress("Train", 1000, "steps", done=900) as work:
        now = 50.0
        work.reach(910)
    assert caplog.messages[0] == "Train: 910 of 1,000 steps · 450 s left"
