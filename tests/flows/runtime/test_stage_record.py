"""What a stage records is what the pipeline reads, and a damaged record is no record."""

from pathlib import Path

import pytest

from flows.runtime.stage_record import StageRecord
from lmcore.errors import UserError


def caught(error: BaseException) -> BaseException:
    """The error with a traceback."""
    try:
        raise error
    except BaseException as raised:
        return raised


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = StageRecord(state="ran", seconds=1.5, peak_memory_bytes=2**40)
    record.write(tmp_path / "stage.json")
    assert StageRecord.read(tmp_path / "stage.json") == record


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"state": "run"}',
        b'{"state": "ran", "seconds": "1"}',
        b'{"state": "ran", "a": 1}',
    ],
)
def test_a_damaged_record_and_a_missing_one_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_bytes(content)
    assert StageRecord.read(tmp_path / "stage.json") is None
    assert StageRecord.read(tmp_path / "other.json") is None


def test_the_message_of_a_failure_is_what_the_user_was_shown() -> None:
    for_user = StageRecord.failed(caught(UserError("hidden_size 7 is odd")), seconds=2.0, peak_memory_bytes=3)
    assert (for_user.state, for_user.message) == ("failed", "hidden_size 7 is odd")
    assert (for_user.seconds, for_user.peak_memory_bytes) == (2.0, 3)
    defect = StageRecord.failed(caught(KeyError("tokens")))
    assert defect.message == "KeyError('tokens')"
    assert defect.traceback is not None
    assert "in caught" in defect.traceback
    assert StageRecord.failed(caught(KeyboardInterrupt())).message == "KeyboardInterrupt()"
