"""What DVC leaves of a stopped experiment is removed, and nothing else."""

import json
from pathlib import Path

import pytest

from flows.runtime.sweep_trial import EXPERIMENTS, remove_leftovers


def test_the_folder_and_the_record_of_the_named_experiment_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, folder in (
        ("mine", EXPERIMENTS / "standalone/a"),
        ("other", EXPERIMENTS / "standalone/b"),
        ("far", outside),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        record = EXPERIMENTS / "run" / name / f"{name}.run"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"name": name, "root_dir": str(folder.absolute())}))
    (EXPERIMENTS / "run/mine/damaged.run").write_text("{")
    remove_leftovers("mine")
    remove_leftovers("far")
    assert [folder.name for folder in (EXPERIMENTS / "standalone").iterdir()] == ["b"]
    assert [folder.name for folder in (EXPERIMENTS / "run").iterdir()] == ["other"]
    assert outside.exists()
