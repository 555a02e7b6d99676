"""A file of settings is checked as a whole."""

from pathlib import Path

import pytest

from flows.runtime.settings_file import read_settings
from flows.runtime.sweep_settings import SweepConfig
from lmcore.config.comparisons import LadderConfig, ScalingConfig
from lmcore.errors import UserError
from tests.sample_project import PROJECT


def test_the_projects_own_settings_are_valid() -> None:
    assert "gpt" in read_settings(PROJECT / "comparisons/ladder.yaml", LadderConfig).presets
    scaling = read_settings(PROJECT / "comparisons/scaling.yaml", ScalingConfig)
    assert scaling.held_out_size > max(scaling.sizes)
    for path in (PROJECT / "sweeps").glob("*.yaml"):
        assert read_settings(path, SweepConfig).parameters


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ladder.yaml"
    path.write_text("presets: [gpt]\nseconds: -1.0\nvalidation: 3\ncalibration_steps: 24\n")
    with pytest.raises(UserError) as caught:
        read_settings(path, LadderConfig)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{path} has errors; nothing was started:"
    assert [line.strip().partition(":")[0] for line in lines] == ["seconds", "validations", "validation"]


@pytest.mark.parametrize(("content", "message"), [("a: [", "not valid YAML"), (None, "does not exist")])
def test_a_file_that_cannot_be_read_is_one_message(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_settings(path, LadderConfig)


def test_a_held_out_size_is_larger_than_the_others(tmp_path: Path) -> None:
    text = (PROJECT / "comparisons/scaling.yaml").read_text().replace("held_out_size: 6", "held_out_size: 5")
    (tmp_path / "scaling.yaml").write_text(text)
    with pytest.raises(UserError, match="held_out_size is 5: expected a size above those in sizes"):
        read_settings(tmp_path / "scaling.yaml", ScalingConfig)
