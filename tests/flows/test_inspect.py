"""What a person reads of the ledger on the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lmcore.text.describing.test_describing import describe_all

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    describe_all(folder / "data", ["Mail to a@b.de, please.", "tiny", "A document that stays."])
    return folder


def inspect(folder: Path, *arguments: str, columns: int = 100) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "flows.inspect", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_a_rule_all_rules_are_listed(project: Path) -> None:
    done = inspect(project)
    assert done.returncode == 0, done.stderr
    rows = [line.split()[:3] for line in done.stdout.splitlines()]
    assert ["changed", "masked_email", "1"] in rows
    assert ["dropped", "too_short", "1"] in rows


def test_all_columns_can_be_read_on_a_narrow_terminal(project: Path) -> None:
    done = inspect(project, columns=80)
    assert all(name in done.stdout for name in ("documents", "lowest", "highest", "threshold"))
    assert "…" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_rule_shows_documents_with_their_figures_and_what_was_changed(project: Path) -> None:
    assert "score 4 · threshold 5" in inspect(project, "too_short").stdout
    shown = inspect(project, "masked_email", "-n", "1").stdout
    assert "Mail to <email>, please." in shown
    assert "a@b.de" not in shown


def test_mistakes_say_what_to_do(project: Path, tmp_path: Path) -> None:
    unknown = inspect(project, "unheard_of")
    assert unknown.returncode == 1
    assert "the rules are: masked_email, too_short" in unknown.stderr
    missing = inspect(tmp_path)
    assert missing.returncode == 1
    assert "data/clean/ledger.parquet is missing: run `dvc repro clean` first" in missing.stderr
    assert "Traceback" not in unknown.stderr + missing.stderr
