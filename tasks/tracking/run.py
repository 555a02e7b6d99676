"""The run of a training: opened, continued after an interruption, and ended."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lmcore.runtime.files import folder_digest
from lmcore.training.signals import DeferredSignals
from tasks.context.environment import Environment
from tasks.context.lineage import dataset_digest, lineage, uncommitted_changes
from tasks.tracking.local_run import LocalRun, new_run_folder, newest_run_folder
from tasks.tracking.outbox import is_empty, tracking_folder
from tasks.tracking.run_info import Continued, Dataset, Outcome, RunInfo, now
from tasks.tracking.uploader import Uploader, is_answer_pending

KEPT_FIELDS = ("start_time", "run_id", "continued")
"""What a run keeps when its training is resumed."""
SIGNAL_EXIT_CODES = 128
"""Exit codes above this one are those of signals."""


class ModelRun:
    """The run of a training in progress; :func:`model_run` makes one."""

    def __init__(self, local: LocalRun, uploader: Uploader) -> None:
        self._local, self._uploader = local, uploader

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step; takes microseconds, because another thread sends them to MLflow.

        In MLflow ``validation_loss`` is called ``validation/loss``, and names without such a prefix ``train/<name>``.
        A value that the step already has, from before the training was resumed, is kept.
        """
        self._local.log_metrics(step, metrics)

    def continues(self, training: str, step: int) -> None:
        """Note that the training continues an earlier one, whose run becomes the parent of this one.

        Args:
            training: the name of the earlier training's checkpoint folder.
            step: the step from which it is continued.
        """
        self._local.update(continued=Continued(training=training, step=step))

    def finish(self, *folders: Path) -> None:
        """Log the finished model; the last call in the block.

        Args:
            folders: the model folder, and copies of it to use if it is gone before MLflow has it.
        """
        self._end(_finished(self._local, folders))

    def finish_comparison(self, folder: Path) -> None:
        """Log the table and the figures of a comparison; the last call in the block of a run without a model."""
        self._end(_finished(self._local, [folder]).model_copy(update={"has_model": False}))

    @property
    def name(self) -> str:
        """The name of the local run, by which the runs of a comparison name their parent."""
        return self._local.folder.name

    @property
    def is_ended(self) -> bool:
        """Whether the outcome is known."""
        return self._local.info.outcome is not None

    def abort(self, error: BaseException) -> None:
        """End without a model: FAILED after an error, KILLED after an interruption."""
        status: Literal["FAILED", "KILLED"] = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._end(Outcome(status=status, end_time=now(), error=_reason(error)))

    def _end(self, outcome: Outcome) -> None:
        with DeferredSignals():
            self._local.update(outcome=outcome)
            self._uploader.stop()


@contextmanager
def model_run(
    environment: Environment,
    *,
    stage: str,
    model: str,
    family: str | None,
    parameters: Mapping[str, Any],
    datasets: Sequence[Path],
    work_folder: Path,
    resumed_from_step: int,
    base_model: Path | None = None,
) -> Iterator[ModelRun]:
    """Open the run of a training; a training that was interrupted continues its run, even if it starts over.

    An exception leaves the run FAILED with the tag ``error``; Ctrl-C or the exit after SIGTERM leaves it KILLED. If
    MLflow does not answer, one warning is logged; everything waits on disk for the next sync or the next stage.

    Args:
        environment: where the tracking store is.
        stage: the DVC stage, "pretrain" or "finetune".
        model: "language-model", "classifier" or "completion".
        family: the family of the model.
        parameters: nested values, logged under dotted names.
        datasets: the datasets, such as ``data/tokens``, relative to the current folder.
        work_folder: the folder of the training's checkpoints, after which the local run is named.
        resumed_from_step: the step of the checkpoint that the training resumes from, or 0.
        base_model: the folder of the model that the training starts from.

    Raises:
        RuntimeError: if the block ends without :meth:`ModelRun.finish`.
    """
    facts = lineage(environment, Path.cwd(), stage)
    info = RunInfo(
        model=model,
        family=family,
        stage=stage,
        start_time=now(),
        lineage=facts,
        parameters=dict(parameters),
        datasets=[_dataset(path, facts) for path in datasets],
        base_digest=folder_digest(base_model) if base_model else None,
        parent=environment.comparison_run,
    )
    parent = tracking_folder(environment)
    local = _open_latest(parent, work_folder)
    if local is not None and local.info.is_finished:
        local.lock.release()
        local = None
    if local is None:
        local = LocalRun.create(new_run_folder(parent, work_folder), info, uncommitted_changes(Path.cwd()))
    else:
        count = int(local.info.resume_tags.get("resume.count", "0")) + 1
        new = {
            name: getattr(info, name)
            for name in RunInfo.model_fields
            if name not in ("start_time", "run_id", "continued")
        }
        tags = {"resume.count": str(count), "resume.from_step": str(resumed_from_step)}
        local.update(**new | {"resume_tags": tags})
    uploader = Uploader(environment, local)
    run = ModelRun(local, uploader)
    try:
        uploader.start()
        yield run
        if not run.is_ended:
            raise RuntimeError(f"the training of {model} ended without run.finish(model_folder)")
    except BaseException as error:
        if not run.is_ended:
            run.abort(error)
        raise


def finish_run(environment: Environment, work_folder: Path, *folders: Path) -> None:
    """Finish the run of a training whose process was killed after the model was saved; does nothing if it is complete.

    Args:
        environment: where the tracking store is.
        work_folder: the folder of the training's checkpoints.
        folders: the model folder and copies of it.
    """
    local = _open_latest(tracking_folder(environment), work_folder)
    if local is None:
        return
    if not local.info.is_finished:
        local.update(outcome=_finished(local, folders), is_synced=False)
    uploader = Uploader(environment, local)
    uploader.start()
    uploader.stop()


def catch_up(environment: Environment) -> None:
    """Send what MLflow has missed; takes no time if that is nothing, and seconds if MLflow still does not answer."""
    if is_empty(tracking_folder(environment)):
        return
    uploader = Uploader(environment)
    if is_answer_pending():
        uploader.warn(TimeoutError("an earlier request has not been answered yet"))
        return
    uploader.start()
    uploader.stop()


def _open_latest(parent: Path, work_folder: Path) -> LocalRun | None:
    """The last local run of the training with these checkpoints, if no process has it."""
    folder = newest_run_folder(parent, work_folder)
    return LocalRun.open(folder) if folder else None


def _finished(local: LocalRun, folders: Sequence[Path]) -> Outcome:
    work_folder = local.folder.parents[1]
    return Outcome(
        status="FINISHED",
        end_time=now(),
        folders=[os.path.relpath(folder.absolute(), work_folder) for folder in folders],
        digest=folder_digest(folders[0]),
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt) and not str(error):
        return "killed: interrupted by Ctrl-C"
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > SIGNAL_EXIT_CODES:
        return f"killed: terminated by {signal.Signals(error.code - SIGNAL_EXIT_CODES).name}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _dataset(path: Path, facts: Mapping[str, str]) -> Dataset:
    summary = path / "summary.json"
    profile = summary.read_text(encoding="utf-8") if summary.exists() else "{}"
    return Dataset(path=path.as_posix(), digest=dataset_digest(Path.cwd(), path, facts), profile=profile)
