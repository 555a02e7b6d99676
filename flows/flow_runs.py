"""Which process executes which Prefect run, so that none whose process was killed stays Running."""

import json
import logging
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from lmcore.files import write_json
from tasks.process import ProcessIdentity

logger = logging.getLogger(__name__)

Outcome = Literal["completed", "failed"]


def record_flow_run(
    work_folder: Path, api_url: str, flow_run_id: UUID, outcome: Outcome | None = None
) -> None:
    """Note that this process executes a run, and with ``outcome`` how the work ended."""
    record = {"api_url": api_url, "outcome": outcome, **ProcessIdentity.current().as_json()}
    write_json(_records(work_folder) / f"{flow_run_id}.json", record)


def close_abandoned_runs(work_folder: Path, api_url: str) -> int:
    """Give every recorded run whose process is gone its final state, and return how many had none.

    A run that was killed becomes Crashed; one that ended while the server was away becomes what it ended as.
    """
    gone = {id_: record for id_, record in _read_records(work_folder, api_url).items() if _is_gone(record)}
    if not gone:
        return 0
    unfinished = _unfinished(list(gone))
    for flow_run_id in unfinished:
        _close(flow_run_id, gone[flow_run_id])
    for flow_run_id in gone:
        (_records(work_folder) / f"{flow_run_id}.json").unlink(missing_ok=True)
    if unfinished:
        logger.info("Closed %d Prefect run(s) whose process was gone", len(unfinished))
    return len(unfinished)


def _records(work_folder: Path) -> Path:
    return work_folder / "flow-runs"


def _read_records(work_folder: Path, api_url: str) -> dict[UUID, dict[str, Any]]:
    files = sorted(_records(work_folder).glob("*.json"))
    records = {UUID(file.stem): json.loads(file.read_text(encoding="utf-8")) for file in files}
    return {id_: record for id_, record in records.items() if record["api_url"] == api_url}


def _is_gone(record: dict[str, Any]) -> bool:
    return ProcessIdentity.from_json(record).is_gone()


def _unfinished(flow_run_ids: list[UUID]) -> list[UUID]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=flow_run_ids)))
    return [run.id for run in runs if run.state is None or not run.state.is_final()]


def _close(flow_run_id: UUID, record: dict[str, Any]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Completed, Crashed, Failed, State

    process = f"process {record['pid']} on {record['host']}"
    match record["outcome"]:
        case "completed":
            state: State[None] = Completed(message=f"{process} completed it while this server was away")
        case "failed":
            state = Failed(message=f"{process} failed while this server was away")
        case _:
            state = Crashed(message=f"{process} was killed: it ended without a report")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, state, force=True)
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        for task_run in client.read_task_runs(flow_run_filter=of_run):
            if task_run.state is None or not task_run.state.is_final():
                client.set_task_run_state(task_run.id, state, force=True)
