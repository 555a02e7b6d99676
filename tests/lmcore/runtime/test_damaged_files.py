from pathlib import Path

import pytest

from lmcore.runtime.damaged_files import read_record, set_aside


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[1]", b'{"a": "1"}', b'{"a": NaN}', b"\0" * 9])
def test_a_damaged_record_is_reported_and_set_aside(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rates.json"
    assert read_record(file, dict[str, int]) is None
    file.write_bytes(b'{"a": 1}')
    assert read_record(file, dict[str, int]) == {"a": 1}
    file.write_bytes(content)
    assert read_record(file, dict[str, int]) is None
    assert not file.exists()
    assert [str(file) in record.message for record in caplog.records] == [True]
    assert (tmp_path / "rates.json.damaged-1").read_bytes() == content


def test_a_folder_in_place_of_a_record_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rates.json").mkdir()
    assert read_record(tmp_path / "rates.json", dict[str, int]) is None
    assert "rates.json is damaged (it is a folder); renamed to rates.json.damaged-1" in caplog.text


def test_values_of_another_type_are_converted_only_if_that_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text('{"port": "80"}')
    assert read_record(file, dict[str, int], strict=False) == {"port": 80}
    assert read_record(file, dict[str, int]) is None


def test_what_was_set_aside_before_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2, 3):
        (tmp_path / "lock").write_text(str(number))
        assert set_aside(tmp_path / "lock", folder=tmp_path / "kept").name == f"lock.damaged-{number}"
    assert (tmp_path / "kept" / "lock.damaged-1").read_text() == "1"
    assert caplog.records == []
