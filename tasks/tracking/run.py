"""The run of a model while it trains."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lmcore.runtime.files import folder_digest
from tasks.context.environment import Environment
from tasks.context.lineage import dataset_digest, lineage, uncommitted_changes
from tasks.tracking.courier import Courier
from tasks.tracking.journal import Journal, journal_name, newest_folder
from tasks.tracking.outages import undisturbed
from tasks.tracking.record import Dataset, Outcome, RunRecord, metric_name, now
from tasks.tracking.upkeep import journals_folder

SIGNALED = 128
"""Exit codes above it are those of signals."""


class ModelRun:
    """The MLflow run of one model in training; :func:`model_run` makes one."""

    def __init__(self, journal: Journal, courier: Courier) -> None:
        self._journal = journal
        self._courier = courier

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures of one step; takes some ten microseconds, MLflow follows from another thread.

        ``validation_loss`` becomes ``validation/loss``, a name without such a prefix ``train/<name>``.
        A step that the run already has (the training was resumed from an earlier checkpoint) is skipped.
        """
        self._journal.append(step, {metric_name(name): value for name, value in metrics.items()})

    def finish(self, *folders: Path) -> None:
        """Log the finished model as a servable MLflow model; call it last in the block.

        Args:
            folders: where it is; the others hold copies, should it be delivered late and the first be gone.
        """
        self._end(_finished(self._journal, folders))

    @property
    def is_ended(self) -> bool:
        """Whether the outcome is known."""
        return self._journal.record.outcome is not None

    def abort(self, error: BaseException) -> None:
        """End without a model: FAILED by an error, KILLED by a person or the system."""
        status: Literal["FAILED", "KILLED"] = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._end(Outcome(status=status, end_time=now(), error=_reason(error)))

    def _end(self, outcome: Outcome) -> None:
        with undisturbed():
            self._journal.update(outcome=outcome)
            self._courier.stop()


@contextmanager
def model_run(
    environment: Environment,
    *,
    stage: str,
    model: str,
    parameters: Mapping[str, Any],
    datasets: Sequence[Path],
    work_folder: Path,
    resumed_from_step: int,
    base_model: Path | None = None,
) -> Iterator[ModelRun]:
    """Open the run of a model for as long as it trains.

    Args:
        environment: where the tracking store is.
        stage: the DVC stage, "pretrain" or "finetune".
        model: "language-model", "classifier" or "completion".
        parameters: nested values; logged under dotted names.
        datasets: what this model is trained on, such as ``data/tokens``, relative to the current folder.
        work_folder: where the training keeps its checkpoints; its name is that of the run on disk.
        resumed_from_step: the step of the checkpoint the training continues from, 0 when it starts afresh. A
            training that was interrupted continues its run, be it from its beginning.
        base_model: the folder of the model that the training starts from, if it does from one.

    An exception leaves the run FAILED with the tag ``error``, anything else that ends the block early (Ctrl-C, the
    exit that ``run_stage`` makes of SIGTERM) leaves it KILLED. A tracking store that does not answer is a warning:
    everything waits on disk and is delivered when it answers, or by the next stage that tracks.
    """
    facts = lineage(environment, Path.cwd(), stage)
    record = RunRecord(
        model=model,
        family=_family(parameters, base_model),
        stage=stage,
        start_time=now(),
        facts=facts,
        parameters=dict(parameters),
        datasets=[_dataset(path, facts) for path in datasets],
        base_digest=folder_digest(base_model) if base_model else None,
    )
    journals = journals_folder(environment)
    journal = _interrupted(journals, work_folder)
    if journal is not None:
        _resume(journal, record, resumed_from_step)
    else:
        journal = Journal.create(journals / journal_name(work_folder), record, uncommitted_changes(Path.cwd()))
    with _followed(environment, journal) as run:
        yield run
        if not run.is_ended:
            raise RuntimeError(f"the training of {model} ended without run.finish(model_folder)")


def finish_run(environment: Environment, work_folder: Path, *folders: Path) -> None:
    """End the run of a training whose model was finished, but whose process was killed before the run was closed.

    Costs nothing where the run was closed, or is not known any more.
    """
    journal = _interrupted(journals_folder(environment), work_folder, or_finished=True)
    if journal is None:
        return
    if not journal.is_finished():
        journal.update(outcome=_finished(journal, folders), is_closed=False)
    courier = Courier(environment, journal)
    courier.start()
    courier.stop()


@contextmanager
def _followed(environment: Environment, journal: Journal) -> Iterator[ModelRun]:
    courier = Courier(environment, journal)
    run = ModelRun(journal, courier)
    try:
        courier.start()
        yield run
    except BaseException as error:
        if not run.is_ended:
            run.abort(error)
        raise


def _reason(error: BaseException) -> str:
    """Why a training has ended, in words."""
    if isinstance(error, KeyboardInterrupt) and not str(error):
        return "killed: interrupted by Ctrl-C"
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > SIGNALED:
        return f"killed: terminated by {signal.Signals(error.code - SIGNALED).name}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _finished(journal: Journal, folders: Sequence[Path]) -> Outcome:
    work_folder = journal.folder.parents[1]
    return Outcome(
        status="FINISHED",
        end_time=now(),
        folders=[os.path.relpath(folder.absolute(), work_folder) for folder in folders],
        digest=folder_digest(folders[0]),
    )


def _interrupted(journals: Path, work_folder: Path, *, or_finished: bool = False) -> Journal | None:
    """The journal of the training in ``work_folder``, if it has one that is free and has not finished."""
    folder = newest_folder(journals, work_folder)
    journal = Journal.take_over(folder) if folder else None
    if journal is None or or_finished or not journal.is_finished():
        return journal
    journal.lock.release()
    return None


def _resume(journal: Journal, record: RunRecord, step: int) -> None:
    """Make an interrupted run's journal that of this process."""
    count = int(journal.record.resumes.get("resume.count", "0")) + 1
    journal.update(
        **record.model_dump(exclude={"start_time", "run_id", "resumes", "datasets"}),
        datasets=record.datasets,
        resumes={"resume.count": str(count), "resume.from_step": str(step)},
    )


def _family(parameters: Mapping[str, Any], base_model: Path | None) -> str | None:
    """Of which family the model is: its own parameters say so, or those of the model that it starts from."""
    if base_model is not None:
        from lmcore.models.folder import read_description

        return read_description(base_model).model.family
    model = parameters.get("model")
    return str(model["family"]) if isinstance(model, Mapping) and "family" in model else None


def _dataset(path: Path, facts: Mapping[str, str]) -> Dataset:
    summary = path / "summary.json"
    profile = summary.read_text(encoding="utf-8") if summary.exists() else "{}"
    return Dataset(path=path.as_posix(), digest=dataset_digest(Path.cwd(), path, facts), profile=profile)
