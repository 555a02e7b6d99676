import json
from pathlib import Path

import pytest

from lmcore.errors import UserError
from lmcore.runtime.files import write_json
from lmcore.training.record import TrainingRecord

RECORD = TrainingRecord(
    n_parameters=100,
    n_steps=2,
    n_batches=2,
    n_epochs=0.5,
    n_targets=64,
    n_skipped_steps=0,
    n_rollbacks=0,
    best_step=2,
    best_validation_loss=2.5,
    precision="float32",
    seed=1,
    history=[{"step": 2, "loss": 3.0, "validation_loss": 2.5}],
    drawn={"kind": "everything"},
)


def test_a_record_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", RECORD.to_json())
    assert TrainingRecord.read(tmp_path) == RECORD
    assert TrainingRecord.read(tmp_path).to_json() == RECORD.to_json()


def test_the_file_has_its_version_first_whole_steps_and_no_fields_of_other_models() -> None:
    values = RECORD.to_json()
    assert next(iter(values.items())) == ("version", 2)
    assert json.dumps(values["history"]) == '[{"step": 2, "loss": 3.0, "validation_loss": 2.5}]'
    assert not {"n_cut_answers", "n_cut_prompts"} & set(values)


@pytest.mark.parametrize(("version", "shown"), [(None, 1), (3, 3)])
def test_a_record_of_another_version_is_refused(version: int | None, shown: int, tmp_path: Path) -> None:
    values = {name: value for name, value in RECORD.to_json().items() if name != "version"}
    write_json(tmp_path / "record.json", values if version is None else {"version": version, **values})
    with pytest.raises(UserError, match=f"has version {shown}, expected 2"):
        TrainingRecord.read(tmp_path)


def test_a_record_with_an_unknown_or_missing_field_is_refused(tmp_path: Path) -> None:
    for values in (RECORD.to_json() | {"speed": 1}, {"version": 2, "n_steps": 1}, [1]):
        write_json(tmp_path / "record.json", values)
        with pytest.raises(UserError, match=r"record\.json"):
            TrainingRecord.read(tmp_path)
