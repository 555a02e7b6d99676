"""What waits on disk for MLflow: evaluations, and the runs of processes that have ended."""

import json
import logging
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from lmcore.errors import UserError
from lmcore.runtime.damaged_files import DAMAGED, set_aside
from lmcore.runtime.files import atomic_folder, folder_digest
from tasks.context.environment import Environment
from tasks.context.lineage import git_facts, lock_file_facts, uncommitted_changes
from tasks.context.sealed import discard, read_sealed, write_sealed
from tasks.tracking.local_run import (
    CHANGES_NAME,
    INFO_NAME,
    LOCK_NAME,
    LocalRun,
    Lock,
    run_folders,
)
from tasks.tracking.models.cost import add_cost
from tasks.tracking.models.description import refresh_description
from tasks.tracking.models.model import find_logged_model
from tasks.tracking.models.prompts import link_prompts
from tasks.tracking.projection import LOCAL_RUN_TAG, Projection, log_metrics
from tasks.tracking.run_info import Metric, Outcome, RunInfo, now
from tasks.tracking.store.client import Store, leaves, one_line, safe_name, upload_seconds

logger = logging.getLogger(__name__)

ARTIFACTS = "evaluation"
FILE_NAME = "evaluation.json"
MAX_SECTIONS = 200


class Evaluation(BaseModel):
    """The metrics of one evaluation of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    folder: str
    """The model folder, relative to the work folder."""
    digest: str
    """The hash of the model folder."""
    time: int
    """Milliseconds since 1970."""
    metrics: dict[str, float]
    prompts: dict[str, str] = {}
    """The templates of the prompts that were compared, by name."""


def save_evaluation(
    parent: Path,
    *,
    model: str,
    model_folder: Path,
    metrics: Mapping[str, Any],
    artifacts: Sequence[Path],
    prompts: Mapping[str, str],
) -> None:
    """Write an evaluation, with copies of its artifacts, to a folder below ``parent``; it replaces an earlier one."""
    evaluation = Evaluation(
        model=model,
        folder=os.path.relpath(model_folder.absolute(), parent.parent),
        digest=folder_digest(model_folder),
        time=now(),
        metrics=flatten_metrics(metrics),
        prompts=dict(prompts),
    )
    with atomic_folder(parent / f"evaluation-{model}-{evaluation.digest[:16]}") as folder:
        (folder / ARTIFACTS).mkdir()
        for artifact in artifacts:
            copy_artifact(artifact, folder / ARTIFACTS)
        (folder / CHANGES_NAME).write_bytes(uncommitted_changes(Path.cwd()))
        write_sealed(folder / FILE_NAME, evaluation)


def _saved_evaluations(parent: Path) -> list[Path]:
    """The folders of the evaluations that MLflow does not have yet."""
    return sorted(folder for folder in parent.glob("evaluation-*") if DAMAGED not in folder.name)


def flatten_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Nested metrics by grouped name: ``test/`` for the model's own, ``versus/`` for those below another name.

    A metric with an interval (``value``, ``low``, ``high``) has its ends in ``with_interval/``. The UI sorts groups
    alphabetically: the model's own metrics, its training (``train``, ``validation``), then the rest. Values that are
    not numbers are left out.
    """
    flat = {}
    for path, value in leaves(metrics):
        if isinstance(value, int | float) and not isinstance(value, bool):
            names = path[:-1] if path[-1] == "value" else path
            group = "with_interval" if names[-1] in ("low", "high") else "test" if len(names) == 1 else "versus"
            flat[safe_name(f"{group}/{'_'.join(names)}")] = float(value)
    return flat


def tracking_folder(environment: Environment) -> Path:
    """The folder of everything that MLflow does not have yet."""
    return environment.work_folder / "tracking"


def is_empty(parent: Path) -> bool:
    """Whether MLflow has everything but the runs that are in progress."""
    return all(local.info.is_synced for local in _unlocked_runs(parent)) and not _saved_evaluations(parent)


def sync_outbox(store: Store, parent: Path) -> None:
    """Sync the runs of processes that have ended and all evaluations; remove runs that nothing will continue."""
    for local in _unlocked_runs(parent):
        if not local.info.is_synced:
            with _logged_failure(local.folder):
                _sync_ended_run(store, local)
        if local.info.is_synced and not local.is_resumable():
            local.remove()
    awaited = _awaited_models(parent)
    for folder in _saved_evaluations(parent):
        with _logged_failure(folder):
            sync_evaluation(store, folder, awaited)


def _sync_ended_run(store: Store, local: LocalRun) -> None:
    """Sync the run of a process that has ended; without an outcome it is KILLED at the time of its last write."""
    info = local.info
    is_deleted = info.run_id and not store.has_run(info.run_id) and store.has_run(info.run_id, or_deleted=True)
    known = store.find_run(f"tags.`{LOCAL_RUN_TAG}` = '{local.folder.name}'")
    is_complete = known and not info.is_finished and store.client.get_run(known).info.status == "FINISHED"
    if is_deleted or is_complete:
        # Somebody deleted the run in the UI, or the local run is damaged or half removed: what MLflow has counts.
        local.update(is_synced=True)
        return
    if info.outcome is None:
        reason = "killed: its process ended without reporting"
        local.update(outcome=Outcome(status="KILLED", end_time=local.last_write_time(), error=reason))
    Projection(store, local).sync()


def _awaited_models(parent: Path) -> set[str]:
    """The digests of models whose runs another process or thread is about to sync."""
    digests = set()
    for folder in run_folders(parent):
        with suppress(OSError, ValueError):
            info = read_sealed(folder / INFO_NAME, RunInfo)
            if info.outcome and info.outcome.digest and not info.is_synced:
                digests.add(info.outcome.digest)
    return digests


def _unlocked_runs(parent: Path) -> Iterator[LocalRun]:
    """The runs whose processes have ended, each locked until the next one is yielded."""
    for folder in run_folders(parent):
        try:
            local = LocalRun.open(folder)
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read (%s); delete it to discard that run", folder, one_line(error))
            continue
        if local is not None:
            try:
                yield local
            finally:
                local.lock.release()


@contextmanager
def _logged_failure(folder: Path) -> Iterator[None]:
    """Log an error and continue: what MLflow rejects does not block the rest."""
    try:
        yield
    except Exception as error:
        logger.warning(
            "MLflow did not accept %s (%s), which will be sent again; delete it to discard it",
            folder,
            one_line(error),
        )


def sync_evaluation(store: Store, folder: Path, awaited: Collection[str]) -> None:
    """Add a saved evaluation to the MLflow run of its model, and remove it from disk.

    Args:
        store: the tracking store.
        folder: the folder of the evaluation; if another process has it, nothing happens, and a damaged one is set
            aside.
        awaited: the digests of models whose runs are still to be synced; their evaluations wait.
    """
    lock = Lock(folder / LOCK_NAME)
    if not lock.acquire():
        return
    try:
        evaluation = read_sealed(folder / FILE_NAME, Evaluation)
    except (FileNotFoundError, ValueError) as error:
        set_aside(folder, error)
        logger.warning("to evaluate again, run `dvc repro --force --single-item evaluate`")
    else:
        if evaluation.digest not in awaited:
            _send_evaluation(store, evaluation, folder)
            discard(folder)
    finally:
        lock.release()


def _send_evaluation(store: Store, evaluation: Evaluation, folder: Path) -> None:
    condition = f"tags.`model.digest` = '{evaluation.digest}' AND tags.`model.name` = '{evaluation.model}'"
    run_id = store.find_run(condition) or _sync_untracked_model(store, evaluation, folder)
    known = store.client.get_run(run_id).data.metrics
    new = [
        Metric(name, value, evaluation.time, 0)
        for name, value in evaluation.metrics.items()
        if known.get(name) != value
    ]
    log_metrics(store, run_id, new, find_logged_model(store, run_id, evaluation.digest))
    link_prompts(store, run_id, evaluation.prompts)
    if (artifacts := folder / ARTIFACTS).is_dir():
        add_cost(store, store.client.get_run(run_id), artifacts)
        with store.requests.request(upload_seconds(artifacts)):
            store.client.log_artifacts(run_id, str(artifacts), ARTIFACTS)
    refresh_description(store, run_id)


def _sync_untracked_model(store: Store, evaluation: Evaluation, entry: Path) -> str:
    """Create the run of a model that this store has not seen in training, such as one from DVC's cache."""
    from lmcore.models.folder import read_description

    folder = entry.parent.parent / evaluation.folder
    if folder_digest(folder) != evaluation.digest:
        raise UserError(f"{folder} has changed since its evaluation, and no run has the model that was evaluated")
    description = read_description(folder)
    info = RunInfo(
        model=evaluation.model,
        family=description.model.family,
        stage="evaluate",
        start_time=evaluation.time,
        lineage={
            **git_facts(Path.cwd()),
            **lock_file_facts(Path.cwd()),
            "model.origin": "trained elsewhere or before this store was created; the metrics are from its record",
        },
        parameters=description.model_dump(mode="json", exclude_none=True),
        datasets=[],
        outcome=Outcome(
            status="FINISHED", end_time=evaluation.time, folders=[evaluation.folder], digest=evaluation.digest
        ),
    )
    # The name depends on the model alone: an interrupted attempt is continued, not repeated.
    run_folder = entry.parent / f"{0:013d}-{evaluation.model}-{evaluation.digest[:32]}"
    changes = (entry / CHANGES_NAME).read_bytes() if (entry / CHANGES_NAME).exists() else b""
    local = LocalRun.create(run_folder, info, changes)
    try:
        run_id = Projection(store, local).sync()
        local.remove()
    finally:
        local.lock.release()
    return run_id


def copy_artifact(artifact: Path, folder: Path) -> None:
    """Copy a file or folder, in a form that the UI shows well: it renders no YAML headers and no JSON tables."""
    if artifact.is_dir():
        shutil.copytree(artifact, folder / artifact.name)
        return
    shutil.copyfile(artifact, folder / artifact.name)
    if artifact.suffix == ".md":
        text = artifact.read_text(encoding="utf-8")
        header = text.split("---\n", 2)
        if text.startswith("---\n") and len(header) == 3:
            (folder / artifact.name).write_text(f"```yaml\n{header[1]}```\n{header[2]}", encoding="utf-8")
    if artifact.suffix == ".json":
        items = json.loads(artifact.read_text(encoding="utf-8"))
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            text = "\n\n".join(_section(number, item) for number, item in enumerate(items[:MAX_SECTIONS], start=1))
            (folder / artifact.name).with_suffix(".md").write_text(text + "\n", encoding="utf-8")


def _section(number: int, item: Mapping[str, Any]) -> str:
    """A JSON object as Markdown that keeps line breaks."""
    parts = [f"#### {number}"]
    for name, value in item.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            # Longer than any fence inside the text.
            fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", text)), default=0))
            parts.append(f"**{name}**\n\n{fence}text\n{text}\n{fence}")
    return "\n\n".join(parts)
