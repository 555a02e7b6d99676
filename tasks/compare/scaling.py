"""Trains sizes of one family, fits a scaling law to them, and checks it with a larger size."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmcore.config.comparisons import ScalingConfig
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.training import PretrainConfig
from lmcore.evaluation.intervals import proportion
from lmcore.evaluation.multiple_choice import MultipleChoice, solved_questions
from lmcore.evaluation.scaling_law import FittedLaw, Point, fit_scaling_law
from lmcore.finetuning.examples import choose_examples
from lmcore.models.generative import CausalModel
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.scaling import scaled_training
from lmcore.training.timing import TrainingCost
from tasks import tracking
from tasks.compare.scaling_report import ScalingReport, forecast_table, write_scaling_report
from tasks.compare.study import Study, study
from tasks.compare.trainings import cost_of, remove_model, train_timed
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.evaluate.models import language_model_on_device

logger = logging.getLogger(__name__)

QUESTION_SPLIT, EXAMPLE_SPLIT = "test", "train"
MAX_EXAMPLE_DOCUMENTS = 500


@dataclass(frozen=True)
class ScalingFiles:
    """The tokens that all sizes train on, and the folder of tables and figures."""

    tokens: Path
    output: Path


def study_scaling(
    config: ScalingConfig,
    pretrain: PretrainConfig,
    evaluation: EvaluateConfig,
    environment: Environment,
    files: ScalingFiles,
    *,
    is_new: bool,
) -> None:
    """Write ``scaling.md``, ``scaling.json`` and the figures to the output folder.

    The duration and the memory of every training are forecast before the first one starts, from a few steps of each.

    Args:
        config: sizes, tokens, and what is measured.
        pretrain: the pretraining at size 5.
        evaluation: intervals, seed, and how texts are scored.
        environment: where the work folder and the tracking store are.
        files: data and output.
        is_new: measure everything again, even what is known.
    """
    sizes = (*config.sizes, config.held_out_size)
    trainings = {
        size: scaled_training(pretrain, size, n_tokens=config.tokens, n_validations=config.validations)
        for size in sizes
    }
    settings = {
        "scaling": config.model_dump(mode="json"),
        "pretrain": {f"size_{size}": training.model_dump(mode="json") for size, training in trainings.items()},
        "evaluate": evaluation.model_dump(mode="json", include={"seed", "bootstrap", "likelihood"}),
    }
    with study(
        environment, kind="scaling", settings=settings, inputs=[files.tokens], output=files.output, is_new=is_new
    ) as scaling:
        if scaling is None:
            return
        forecasts = {size: _forecast(scaling, config, size, trainings[size], files.tokens) for size in sizes}
        logger.info("Forecast for this machine:\n%s", forecast_table(forecasts))
        questions = _questions(config, evaluation, pretrain, files.tokens)
        measured = [
            _measure_size(scaling, config, size, trainings[size], questions, evaluation, files.tokens) for size in sizes
        ]
        law = _fit(config, measured, evaluation)
        report = ScalingReport(config, forecasts, measured, law, questions.chance, len(questions.choices))
        for name in ("E", "alpha", "beta"):
            scaling.log_metrics({f"test/law_{name}": law.coefficient(name).value})
        scaling.log_metrics({"test/held_out_relative_error": report.held_out_error})
        scaling.finish(lambda folder: write_scaling_report(folder, report, files.tokens))


def _forecast(
    scaling: Study, config: ScalingConfig, size: int, training: PretrainConfig, tokens: Path
) -> dict[str, Any]:
    """Duration and memory of a training, from a few of its steps."""
    cost = cost_of(scaling, f"size-{size}", training, tokens, n_steps=config.calibration_steps)
    if not isinstance(cost, TrainingCost):
        raise TypeError(f"a model of family {training.scratch_model.family} is not trained step by step")
    seconds = cost.seconds(
        n_steps=training.training.max_steps, n_validations=config.validations, n_checkpoints=config.validations
    )
    return {"seconds": seconds, "memory_bytes": cost.memory_bytes}


@task(name="train_size")
def _measure_size(
    scaling: Study,
    config: ScalingConfig,
    size: int,
    training: PretrainConfig,
    questions: MultipleChoice,
    evaluation: EvaluateConfig,
    tokens: Path,
) -> dict[str, Any]:
    """Train one size and let it answer the questions, or return what is known from before an interruption."""

    def measure() -> dict[str, Any]:
        logger.info("Scaling, size %d: %d steps", size, training.training.max_steps)
        name = f"scaling-{size}"
        trained = train_timed(scaling, name, training, tokens)
        model, _ = language_model_on_device(trained.model_folder)
        if not isinstance(model, CausalModel):
            raise TypeError(
                f"a model of family {training.scratch_model.family} does not give the probability of a text"
            )
        accuracies = {}
        for n_examples in config.examples:
            hits = questions.answer(model, n_examples=n_examples, config=evaluation.likelihood)
            accuracies[str(n_examples)] = proportion(hits, evaluation.bootstrap.confidence).as_json()
        tracking.log_evaluation(
            scaling.environment,
            model=name,
            folder=trained.model_folder,
            metrics={f"accuracy_{shots}_examples": found for shots, found in accuracies.items()},
            artifacts=[],
        )
        per_step = training.training.batch_size * training.sequence_length
        entry = {
            "size": size,
            "n_parameters": trained.record.n_parameters,
            "hidden_size": trained_shape(training)[0],
            "num_hidden_layers": trained_shape(training)[1],
            "points": [
                asdict(Point(trained.record.n_parameters, float(row["step"] * per_step), row["validation_loss"]))
                for row in trained.record.history
                if "validation_loss" in row
            ],
            "seconds": trained.curve.seconds,
            "memory_bytes": trained.memory_bytes,
            "accuracies": accuracies,
        }
        remove_model(trained)
        return entry

    return scaling.kept(f"size-{size}", measure)


def trained_shape(training: PretrainConfig) -> tuple[int, int]:
    """Width and layers of a scaled model."""
    values = training.scratch_model.model_dump()
    return int(values["hidden_size"]), int(values["num_hidden_layers"])


def fitted_points(config: ScalingConfig, entry: dict[str, Any]) -> list[Point]:
    """The points of one size that the law is fitted to or checked by: without those of the start of the training."""
    first = round(config.skipped_ratio * len(entry["points"]))
    return [Point(**point) for point in entry["points"][first:]]


def _fit(config: ScalingConfig, measured: Sequence[dict[str, Any]], evaluation: EvaluateConfig) -> FittedLaw:
    """The law of all sizes but the held-out one."""
    points = [point for entry in measured[:-1] for point in fitted_points(config, entry)]
    return fit_scaling_law(
        points, n_resamples=config.resamples, confidence=evaluation.bootstrap.confidence, seed=evaluation.seed
    )


def _questions(
    config: ScalingConfig, evaluation: EvaluateConfig, pretrain: PretrainConfig, tokens: Path
) -> MultipleChoice:
    """The multiple-choice task on the test split, with examples from the training split."""
    shards, tokenizer = TokenShards.open(tokens), Tokenizer.load(tokens / "tokenizer.json")
    questions = solved_questions(_texts(shards, tokenizer, QUESTION_SPLIT, None, evaluation.seed))
    examples = solved_questions(_texts(shards, tokenizer, EXAMPLE_SPLIT, MAX_EXAMPLE_DOCUMENTS, evaluation.seed))
    context = max_position_embeddings_of(pretrain.scratch_model) or pretrain.sequence_length
    return MultipleChoice(
        tokenizer,
        choose_examples(questions, config.questions, evaluation.seed),
        examples,
        n_options=config.options,
        max_examples=max(config.examples, default=0),
        context=min(context, pretrain.sequence_length),
        seed=evaluation.seed,
    )


def _texts(shards: TokenShards, tokenizer: Tokenizer, split: str, max_documents: int | None, seed: int) -> list[str]:
    offsets, tokens = shards.offsets(split), shards.tokens(split)
    documents = range(len(offsets) - 1)
    chosen = documents if max_documents is None else choose_examples(documents, max_documents, seed)
    return [tokenizer.decode(tokens[offsets[index] : offsets[index + 1] - 1].tolist()) for index in chosen]
