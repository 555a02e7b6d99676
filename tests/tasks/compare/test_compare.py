"""A ladder and a scaling study on a tiny corpus: one run with a child each; what is finished is not done again."""

import json
from pathlib import Path
from typing import Any

import pytest

import tasks.compare.ladder
from lmcore.config.comparisons import LadderConfig, ScalingConfig
from lmcore.config.training import PretrainConfig
from lmcore.evaluation.language_models.held_out_bits import held_out_bits
from lmcore.evaluation.scaling_law import ScalingLaw
from tasks.compare.ladder import LadderFiles, compare_families
from tasks.compare.scaling import ScalingFiles, study_scaling
from tasks.compare.timed_curve import TimedCurve
from tests.lmcore.models.small_models import CONFIGS as TRANSFORMERS
from tests.lmcore.training.trainer import CONFIG as TRAINING
from tests.tasks.evaluate.evaluated_project import CONFIG, write_documents, write_models
from tests.tasks.tracking.trainings import runs, store_of

FAMILIES: dict[str, Any] = {
    "ngram": {"family": "ngram", "order": 3},
    **{name: config.model_dump() | {"max_position_embeddings": 64} for name, config in TRANSFORMERS.items()},
}
MEASURES = {"bert": "pseudo_bits_per_byte", "encoder_decoder": "reconstruction_bits_per_byte"}
LADDER = LadderConfig(presets=("ngram", "bert", "encoder_decoder"), seconds=0.3, validations=2, calibration_steps=12)


def pretraining(family: str) -> PretrainConfig:
    values = {"seed": 1, "mask_documents": False, "init_from": "scratch", "objective": None, "sequence_length": 24}
    values |= {"model": FAMILIES[family], "training": TRAINING}
    return PretrainConfig.model_validate_json(json.dumps(values))


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    write_models(tmp_path, write_documents(tmp_path / "clean"))
    return tmp_path / "tokens"


def run_ladder(
    environment: Any, tokens: Path, *, config: LadderConfig = LADDER, is_new: bool = False
) -> list[dict[str, Any]]:
    files = LadderFiles(tokens, tokens.parent / "ladder")
    trainings = {family: pretraining(family) for family in config.presets}
    compare_families(config, trainings, CONFIG, environment, files, is_new=is_new)
    found: list[dict[str, Any]] = json.loads((files.output / "ladder.json").read_text())
    return found


def children(environment: Any, name: str) -> tuple[Any, list[Any]]:
    """The last run of that name, and the runs below it."""
    found = runs(environment)
    parent = [run for run in found if run.info.run_name.startswith(name) and "mlflow.parentRunId" not in run.data.tags][
        -1
    ]
    return parent, [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def test_a_ladder_that_is_interrupted_keeps_what_is_finished_and_is_one_run_with_a_child_per_family(
    environment: Any, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(model: Any, *arguments: Any) -> Any:
        if model.config.family == "encoder_decoder":
            raise KeyboardInterrupt
        return held_out_bits(model, *arguments)

    monkeypatch.setattr(tasks.compare.ladder, "held_out_bits", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_ladder(environment, tokens)
    monkeypatch.undo()
    trained = [run.info.run_id for run in runs(environment)]
    assert len(trained) == 4  # the ladder and its families
    rungs = run_ladder(environment, tokens)
    assert [run.info.run_id for run in runs(environment)] == trained
    parent, below = children(environment, "ladder")
    assert parent.info.status == "FINISHED"
    assert [run.info.run_name.split()[0] for run in below] == [f"ladder-{family}" for family in LADDER.presets]
    assert all(run.info.status == "FINISHED" for run in below)
    for rung, run in zip(rungs, below, strict=True):
        measure = MEASURES.get(rung["preset"], "bits_per_byte")
        assert rung["measure"] == measure
        assert 0 < rung["low"] <= rung["value"] <= rung["high"] < 20
        assert run.data.metrics[f"test/{measure}"] == pytest.approx(rung["value"])
        assert rung["seconds"] > 0
    assert all(rung["points"] for rung in rungs)
    artifacts = {file.path for file in store_of(environment).list_artifacts(parent.info.run_id)}
    assert {"ladder.md", "ladder.png", "ladder.svg", "ladder.json"} <= artifacts
    page = (tokens.parent / "ladder" / "ladder.md").read_text()
    assert parent.data.tags["mlflow.note.content"] == page
    assert "-S pretrain.model=bert -S pretrain.training.max_steps=" in page
    assert not store_of(environment).search_model_versions()  # nobody has chosen one of these models
    assert run_ladder(environment, tokens) == rungs
    assert len(runs(environment)) == len(trained)


def test_everything_is_measured_again_if_that_is_asked_for(environment: Any, tokens: Path) -> None:
    counting = LADDER.model_copy(update={"presets": ("ngram",)})
    first, again = (run_ladder(environment, tokens, config=counting, is_new=is_new) for is_new in (False, True))
    assert len(runs(environment)) == 4
    assert again[0]["value"] == first[0]["value"]  # counting is reproducible, its duration is not
    assert again[0]["seconds"] > 0


def test_a_scaling_study_forecasts_measures_and_predicts_a_size_that_it_has_not_fitted(
    environment: Any, tokens: Path
) -> None:
    config = ScalingConfig(
        preset="gpt",
        sizes=(3, 4),
        held_out_size=5,
        tokens=4000,
        validations=5,
        skipped_ratio=0.2,
        calibration_steps=12,
        resamples=5,
        questions=6,
        options=3,
        examples=(0,),
    )
    pretrain = pretraining("gpt")
    model = pretrain.model.model_copy(update={"hidden_size": 32})
    pretrain = pretrain.model_copy(update={"model": model, "sequence_length": 64})
    output = tokens.parent / "scaling"
    study_scaling(config, pretrain, CONFIG, environment, ScalingFiles(tokens, output), is_new=False)
    found = json.loads((output / "scaling.json").read_text())
    sizes = found["sizes"]
    assert [entry["size"] for entry in sizes] == [3, 4, 5]
    assert [entry["n_parameters"] for entry in sizes] == sorted({entry["n_parameters"] for entry in sizes})
    for entry in sizes:
        tokens_seen = [point["n_tokens"] for point in entry["points"]]
        assert len(tokens_seen) == 5
        assert tokens_seen[-1] == pytest.approx(4000, rel=0.1)
        assert set(entry["accuracies"]) == {"0"}
        assert found["forecasts"][str(entry["size"])]["seconds"] > 0
    parent, below = children(environment, "scaling")
    assert [run.info.run_name.split()[0] for run in below] == [f"scaling-{size}" for size in (3, 4, 5)]
    law = ScalingLaw(**{name: found["law"][name]["value"] for name in ("E", "A", "B", "alpha", "beta")})
    last = sizes[-1]["points"][-1]
    error = (law.predict(last["n_parameters"], last["n_tokens"]) - last["loss"]) / last["loss"]
    assert parent.data.metrics["test/held_out_relative_error"] == pytest.approx(error)
    page = (output / "scaling.md").read_text()
    assert f"measured {last['loss']:.3f}" in page
    assert {"scaling.png", "scaling.svg", "accuracy.png", "accuracy.svg"} <= {file.name for file in output.iterdir()}


def test_a_curve_goes_on_after_an_interruption_without_the_time_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("tasks.compare.timed_curve.time.monotonic", lambda: now)
    curve = TimedCurve(tmp_path / "curve.jsonl")
    for now, step in ((105.0, 0), (107.0, 1), (110.0, 2)):  # noqa: B007
        curve.log(step, {"validation_loss": 10.0 - step} if step else {})
    now = 5000.0
    resumed = TimedCurve(tmp_path / "curve.jsonl")
    for now, step in ((5010.0, 0), (5011.0, 1), (5012.0, 2), (5015.0, 3)):  # noqa: B007
        resumed.log(step, {"validation_loss": 10.0 - step} if step else {})
    assert resumed.points("validation_loss") == [(2.0, 9.0), (5.0, 8.0), (8.0, 7.0)]
    assert TimedCurve(tmp_path / "curve.jsonl").seconds == 8.0
