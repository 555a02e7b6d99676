"""Trains families of models for the same time each, and compares what they have learned."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.comparisons import LadderConfig
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.training import PretrainConfig
from lmcore.evaluation.language_models.held_out_bits import held_out_bits
from lmcore.evaluation.names import sized_name
from lmcore.evaluation.report.comparison_plots import TimedLine, plot_ladder
from lmcore.runtime.files import write_json, write_text
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.training.timing import TrainingCost
from tasks import tracking
from tasks.compare.study import Study, study
from tasks.compare.tables import bits_per_byte_of, machine_note, markdown_table, with_interval
from tasks.compare.trainings import TimedTraining, cost_of, remove_model, train_timed, with_steps
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.evaluate.models import language_model_on_device

logger = logging.getLogger(__name__)

MEASURES = {
    "bits_per_byte": "bits per byte",
    "pseudo_bits_per_byte": "pseudo bits per byte ¹",
    "reconstruction_bits_per_byte": "bits per byte to restore ²",
}
NOTES = {
    "pseudo_bits_per_byte": """
¹ A masked model predicts each token from the text on both sides of it. Its pseudo bits per byte (Salazar et al. 2020)
are not the probability of the text, and are lower than those of an equally good causal model.
""",
    "reconstruction_bits_per_byte": """
² An encoder-decoder is pretrained to restore a text of which it sees all but the masked spans. The bits per byte are
those of the whole text given the masked one, which is a measure of its own.
""",
}


@dataclass(frozen=True)
class LadderFiles:
    """The tokens that a ladder trains on, and the folder of its table and figure."""

    tokens: Path
    output: Path


def compare_families(
    config: LadderConfig,
    trainings: Mapping[str, PretrainConfig],
    evaluation: EvaluateConfig,
    environment: Environment,
    files: LadderFiles,
    *,
    is_new: bool,
) -> None:
    """Write ``ladder.md``, ``ladder.json`` and the figure ``ladder.png`` and ``.svg`` to the output folder.

    The number of steps that fit into the time is measured before each training and recorded. With the same number of
    steps, a training gives the same model; the time itself is not reproducible.

    Args:
        config: which families, and for how long.
        trainings: the pretraining of each preset.
        evaluation: how the test split is scored.
        environment: where the work folder and the tracking store are.
        files: data and output.
        is_new: measure everything again, even what is known.
    """
    settings = {
        "ladder": config.model_dump(mode="json"),
        "pretrain": {preset: trainings[preset].model_dump(mode="json") for preset in config.presets},
        "evaluate": evaluation.model_dump(mode="json", include={"seed", "bootstrap", "likelihood"}),
    }
    with study(
        environment, kind="ladder", settings=settings, inputs=[files.tokens], output=files.output, is_new=is_new
    ) as ladder:
        if ladder is None:
            return
        rungs = []
        for number, preset in enumerate(config.presets, start=1):
            logger.info("Ladder, %d of %d: %s", number, len(config.presets), preset)
            rungs.append(_train_family(ladder, config, preset, trainings[preset], evaluation, files.tokens))
        ladder.log_metrics({f"test/{rung['measure']}/{rung['preset']}": rung["value"] for rung in rungs})
        ladder.finish(lambda folder: _write_report(folder, config, rungs, files.tokens))


@task(name="train_family")
def _train_family(
    ladder: Study,
    config: LadderConfig,
    preset: str,
    training: PretrainConfig,
    evaluation: EvaluateConfig,
    tokens: Path,
) -> dict[str, Any]:
    """Train and score one family, or return what is known from before an interruption."""
    return ladder.kept(preset, lambda: _measure_family(ladder, config, preset, training, evaluation, tokens))


def _measure_family(
    ladder: Study,
    config: LadderConfig,
    preset: str,
    training: PretrainConfig,
    evaluation: EvaluateConfig,
    tokens: Path,
) -> dict[str, Any]:
    cost = cost_of(ladder, preset, training, tokens, n_steps=config.calibration_steps)
    if cost is not None:
        n_validations = cost.validations_within(config.seconds, at_most=config.validations)
        n_steps = cost.steps_within(config.seconds, n_validations=n_validations)
        training = with_steps(training, n_steps=n_steps, n_validations=n_validations)
        logger.info("%s: %.3f s per step, %d steps in %.0f s", preset, cost.step_seconds, n_steps, config.seconds)
    name = f"ladder-{preset}"
    trained = train_timed(ladder, name, training, tokens)
    shards = TokenShards.open(tokens)
    model, _ = language_model_on_device(trained.model_folder)
    found = held_out_bits(model, shards, evaluation)
    tracking.log_evaluation(
        ladder.environment,
        model=name,
        folder=trained.model_folder,
        metrics={found.measure: found.estimate.as_json()},
        artifacts=[],
    )
    rung = _rung(preset, training, trained, cost) | {"measure": found.measure, **found.estimate.as_json()}
    rung["points"] = [
        [seconds, bits_per_byte_of(shards, "validation", loss)]
        for seconds, loss in trained.curve.points("validation_loss")
    ]
    remove_model(trained)
    return rung


def _rung(preset: str, training: PretrainConfig, trained: TimedTraining, cost: TrainingCost | None) -> dict[str, Any]:
    record = trained.record
    return {
        "preset": preset,
        "name": sized_name(training.scratch_model, record),
        "n_steps": record.n_steps,
        "n_epochs": record.n_epochs,
        "seconds": trained.curve.seconds,
        "cost": None if cost is None else cost.as_json(),
        "precision": record.precision,
        "command": None if cost is None else _command(preset, training),
    }


def _command(preset: str, training: PretrainConfig) -> str:
    """The command that trains the same model as an experiment."""
    steps = training.training
    overrides = {
        "pretrain.model": preset,
        "pretrain.training.max_steps": steps.max_steps,
        "pretrain.training.num_train_epochs": steps.num_train_epochs,
        "pretrain.training.eval_steps": steps.eval_steps,
        "pretrain.training.save_steps": steps.save_steps,
        "pretrain.training.logging_steps": steps.logging_steps,
    }
    return "dvc exp run " + " ".join(f"-S {key}={value}" for key, value in overrides.items()) + " pretrain"


def _write_report(folder: Path, config: LadderConfig, rungs: Sequence[dict[str, Any]], tokens: Path) -> None:
    write_json(folder / "ladder.json", list(rungs))
    title = f"Bits per byte of the test split after {config.seconds:.0f} s of training"
    plot_ladder(folder / "ladder", [_line(rung) for rung in rungs], title=title)
    shards = TokenShards.open(tokens)
    text = f"""# Families of models on one time budget

{len(rungs)} families, each trained for {config.seconds:.0f} seconds on the same {shards.offsets("train")[-1]:,} tokens,
scored on the {len(shards.document_ids("test")):,} documents of the test split ({machine_note()}).

![Bits per byte against seconds of training](ladder.png)

{_table(rungs)}
{"".join(note for measure, note in NOTES.items() if any(rung["measure"] == measure for rung in rungs))}
Lines are validation losses in bits per byte, on the first windows of the validation split; large markers are the test
split with its interval. Dashed lines and hollow markers compare neither with the others nor with each other.
{_how_to_repeat(rungs)}"""
    write_text(folder / "ladder.md", text)


def _how_to_repeat(rungs: Sequence[dict[str, Any]]) -> str:
    """The commands that train the same models again."""
    commands = "\n".join(rung["command"] for rung in rungs if rung["command"])
    if not commands:
        return ""
    return f"""
The number of steps that fit into the time was measured before each training. The time is not reproducible; a training
with the same number of steps is:

```sh
{commands}
```
"""


def _table(rungs: Sequence[dict[str, Any]]) -> str:
    used = [measure for measure in MEASURES if any(rung["measure"] == measure for rung in rungs)]
    rows = [
        [
            rung["name"],
            f"{rung['n_steps']:,}",
            f"{rung['n_epochs']:.2f}",
            f"{rung['seconds']:.1f}",
            *(with_interval(rung) if rung["measure"] == measure else "" for measure in used),
        ]
        for rung in rungs
    ]
    return markdown_table(["model", "steps", "epochs", "seconds", *(MEASURES[measure] for measure in used)], rows)


def _line(rung: dict[str, Any]) -> TimedLine:
    return TimedLine(
        name=rung["name"] if rung["measure"] == "bits_per_byte" else f"{rung['name']} (not comparable)",
        points=[(seconds, bits) for seconds, bits in rung["points"]],
        seconds=rung["seconds"],
        value=rung["value"],
        low=rung["low"],
        high=rung["high"],
        is_comparable=rung["measure"] == "bits_per_byte",
    )
