"""Records which process executes which Prefect flow run, so that no run of a killed process stays ``Running``."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from lmcore.runtime.damaged_files import read_record
from lmcore.runtime.files import write_json
from tasks.context.process import ProcessIdentity, ProcessRecord

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

logger = logging.getLogger(__name__)

Outcome = Literal["completed", "failed"]


class FlowRunRecord(ProcessRecord):
    """The process that executes a flow run, and the outcome of its function."""

    outcome: Outcome | None


def record_flow_run(work_folder: Path, flow_run_id: UUID, outcome: Outcome | None = None) -> None:
    """Record that this process executes a flow run and, with ``outcome``, how the flow's function ended."""
    record = FlowRunRecord(outcome=outcome, **ProcessIdentity.current().as_json())
    write_json(_records_folder(work_folder) / f"{flow_run_id}.json", record.model_dump())


def close_abandoned_runs(work_folder: Path) -> int:
    """Set the final state of every recorded run whose process has ended, and return how many had none.

    A run that was killed becomes ``Crashed``; a run that ended while the server was unreachable gets its real outcome.
    """
    records = _read_records(work_folder)
    gone = {flow_run_id: record for flow_run_id, record in records.items() if record.process.is_gone(work_folder)}
    if not gone:
        return 0
    found = _find_runs(list(gone))
    unfinished = [run.id for run in found if run.state is None or not run.state.is_final()]
    for flow_run_id in unfinished:
        _close_run(flow_run_id, gone[flow_run_id])
    for run in found:  # a run that is not found belongs to another server: its record is kept
        (_records_folder(work_folder) / f"{run.id}.json").unlink(missing_ok=True)
    if unfinished:
        logger.info("Closed %d Prefect run(s) whose process had ended", len(unfinished))
    return len(unfinished)


def _records_folder(work_folder: Path) -> Path:
    return work_folder / "flow-runs"


def _read_records(work_folder: Path) -> dict[UUID, FlowRunRecord]:
    read = (
        (file.stem, read_record(file, FlowRunRecord, strict=False))
        for file in sorted(_records_folder(work_folder).glob("*.json"))
    )
    return {UUID(name): record for name, record in read if record and _is_id(name)}


def _is_id(name: str) -> bool:
    with suppress(ValueError):
        return bool(UUID(name))
    return False


def _find_runs(flow_run_ids: list[UUID]) -> "list[FlowRun]":
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=flow_run_ids)))


def _close_run(flow_run_id: UUID, record: FlowRunRecord) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.objects import State
    from prefect.states import Completed, Crashed, Failed

    process = f"process {record.pid} on {record.host}"
    match record.outcome:
        case "completed":
            state: State[None] = Completed(message=f"{process} completed it while this server was unreachable")
        case "failed":
            state = Failed(message=f"{process} failed while this server was unreachable")
        case _:
            state = Crashed(message=f"{process} was killed: it exited without reporting")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, state, force=True)
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        for task_run in client.read_task_runs(flow_run_filter=of_run):
            if task_run.state is None or not task_run.state.is_final():
                client.set_task_run_state(task_run.id, state, force=True)
