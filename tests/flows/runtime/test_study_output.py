"""What a comparison needs and shows."""

from pathlib import Path

import pytest

from flows.runtime.study_output import require_tokens, show_study
from lmcore.errors import UserError
from tasks.context.environment import Environment


def test_without_tokens_the_command_that_makes_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make them with `dvc repro tokenize`"):
        require_tokens(tmp_path)


def test_the_tables_of_the_page_and_its_place_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "ladder.md"
    page.write_text("# Title\n\nprose\n\n| a [b] |\n| --- |\n\n**result**\n")
    show_study(page, Environment(work_folder=tmp_path))
    shown = capsys.readouterr().out
    assert "| a [b] |" in shown
    assert "**result**" in shown
    assert "prose" not in shown
    assert str(page) in shown
