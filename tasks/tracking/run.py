"""The row of a model while it trains."""

import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lmcore.files import folder_digest
from tasks.environment import Environment
from tasks.lineage import dataset_digest, lineage, uncommitted_changes
from tasks.process import ProcessIdentity
from tasks.tracking.closing import close
from tasks.tracking.courier import Courier, describe_failure
from tasks.tracking.journal import Journal
from tasks.tracking.row import Dataset, Outcome, Row, metric_name, now
from tasks.tracking.store import Store
from tasks.tracking.upkeep import journals_folder, tidy

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = {"FINISHED": 60.0, "FAILED": 20.0, "KILLED": 10.0}


class ModelRun:
    """The MLflow row of one model in training; :func:`model_run` makes one."""

    def __init__(self, journal: Journal, courier: Courier) -> None:
        self._journal = journal
        self._courier = courier

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures of one step; takes some ten microseconds, the row follows from another thread.

        ``validation_loss`` becomes ``validation/loss``, a name without such a prefix ``train/<name>``.
        A step that the row already has (the training was resumed from an earlier checkpoint) is skipped.
        """
        self._journal.append(step, {metric_name(name): value for name, value in metrics.items()})

    def finish(self, folder: Path) -> None:
        """Log the finished model folder as a servable MLflow model; call it last in the block."""
        self._end("FINISHED", folder=str(folder.absolute()), digest=folder_digest(folder))

    @property
    def is_ended(self) -> bool:
        """Whether the outcome is known."""
        return self._journal.row.outcome is not None

    def abort(self, error: BaseException) -> None:
        """End without a model: FAILED by an error, KILLED by a person or the system."""
        status: Literal["FAILED", "KILLED"] = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._end(status, error=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _end(self, status: Literal["FINISHED", "FAILED", "KILLED"], **details: str) -> None:
        self._journal.update(outcome=Outcome(status=status, end_time=now(), **details))
        is_delivered = self._courier.stop(PATIENCE_SECONDS[status])
        if not is_delivered or self._courier.store is None:
            logger.warning(
                "MLflow misses the end of this training; it waits in %s for the next stage that tracks",
                self._journal.folder,
            )
            return
        try:
            close(self._courier.store, self._journal)
        except Exception as error:  # the model is safe on disk, whatever happened to its row
            logger.warning(
                "MLflow did not take the end of this training (%s); it waits in %s for the next stage that tracks",
                describe_failure(error),
                self._journal.folder,
            )


@contextmanager
def model_run(
    environment: Environment,
    *,
    stage: str,
    model: str,
    parameters: Mapping[str, Any],
    datasets: Sequence[Path],
    work_folder: Path,
    resumed_from_step: int | None,
    base_model: Path | None = None,
) -> Iterator[ModelRun]:
    """Open the row of a model for as long as it trains.

    Args:
        environment: where the tracking store is.
        stage: the DVC stage, "pretrain" or "finetune".
        model: "language-model", "classifier" or "completion"; also its name in the model registry.
        parameters: nested values; logged under dotted names.
        datasets: what this model is trained on, such as ``data/tokens``, relative to the current folder.
        work_folder: where the training keeps its checkpoints; the row's identity is kept beside them.
        resumed_from_step: the step of the checkpoint the training continues from, None when it starts afresh.
            A resumed training continues its row.
        base_model: the folder of the model that the training starts from, if it does from one.

    An exception leaves the row FAILED with the tag ``error``, anything else that ends the block early (Ctrl-C, the
    exit that ``run_stage`` makes of SIGTERM) leaves it KILLED. A tracking store that does not answer is a warning:
    everything waits on disk and is delivered when it answers, or by the next stage that tracks.
    """
    journals = journals_folder(environment)
    facts = lineage(environment, Path.cwd(), stage)
    journal = Journal.of_work_folder(journals, work_folder) if resumed_from_step is not None else None
    if journal is not None:
        _resume(journal, facts, resumed_from_step or 0)
    else:
        row = Row(
            model=model,
            stage=stage,
            start_time=now(),
            tags=facts,
            parameters=dict(parameters),
            datasets=[_dataset(path, facts) for path in datasets],
            base_digest=folder_digest(base_model) if base_model else None,
            work_folder=str(work_folder.absolute()),
            owner=ProcessIdentity.current().as_json(),
        )
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{model}-{uuid.uuid4().hex[:6]}"
        journal = Journal.create(journals / name, row, uncommitted_changes(Path.cwd()))
    with _followed(environment, journal) as run:
        yield run
        if not run.is_ended:
            raise RuntimeError(f"the training of {model} ended without run.finish(model_folder)")


@contextmanager
def _followed(environment: Environment, journal: Journal) -> Iterator[ModelRun]:
    def prepare(store: Store) -> None:
        if journal.row.run_id:
            _continue_row(store, journal, journal.row.run_id)
        tidy(store, journal.folder.parent, keep=journal.folder)

    courier = Courier(environment, journal, prepare)
    run = ModelRun(journal, courier)
    courier.start()
    try:
        yield run
    except BaseException as error:
        if not run.is_ended:
            run.abort(error)
        raise


def _resume(journal: Journal, facts: Mapping[str, str], step: int) -> None:
    """Make an interrupted row's journal that of this process."""
    count = int(journal.row.tags.get("resume.count", "0")) + 1
    resumes = {"resume.count": str(count), "resume.from_step": str(step)}
    journal.update(
        tags={**journal.row.tags, **facts, **resumes},
        owner=ProcessIdentity.current().as_json(),
        outcome=None,
        is_closed=False,
    )


def _continue_row(store: Store, journal: Journal, run_id: str) -> None:
    """Let the row of an interrupted training go on; if the store does not have it, it is written there anew."""
    if not store.has_row(run_id):
        journal.restart()
        return
    store.client.update_run(run_id, status="RUNNING")
    store.set_tags(run_id, journal.row.tags)
    if "error" in store.client.get_run(run_id).data.tags:
        store.client.delete_tag(run_id, "error")


def _dataset(path: Path, facts: Mapping[str, str]) -> Dataset:
    summary = path / "summary.json"
    profile = summary.read_text(encoding="utf-8") if summary.exists() else "{}"
    return Dataset(path=path.as_posix(), digest=dataset_digest(Path.cwd(), path, facts), profile=profile)
