"""The pipeline as Prefect deploys it: what ``python -m flows.schedule`` serves and ``prefect.yaml`` names."""

import multiprocessing
import signal
from typing import TYPE_CHECKING

import psutil
from prefect import flow
from prefect.runtime import deployment, flow_run

from flows.pipeline import is_unchanged, new_pipeline_id, restored_outputs, run_pipeline
from flows.runtime.flow_runs import close_abandoned_runs, record_flow_run
from flows.runtime.logs import log_to_flow_run
from flows.runtime.parent_watchdog import stop_when_abandoned
from flows.runtime.prefect_run import completed
from tasks.context.environment import Environment
from tasks.context.process import ProcessIdentity

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@flow(name="pipeline", flow_run_name=new_pipeline_id, persist_result=False)
def pipeline() -> "State[None]":
    """Collect, clean, tokenize, pretrain, finetune and evaluate: each stage only if what it depends on has changed."""
    environment = Environment()
    _end_with_what_started_this()
    close_abandoned_runs(environment.work_folder)
    record_flow_run(environment.work_folder, flow_run.id)
    with log_to_flow_run():
        results = run_pipeline(environment, flow_run.name)
    return completed(is_unchanged(results), restored_outputs(results))


def _end_with_what_started_this() -> None:
    """A schedule or worker that is killed outright takes the run with it: nobody could stop it any more.

    Ctrl-C reaches the schedule and its run at once; the schedule passes it on, and twice would be at once.
    """
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    starter = psutil.Process().parent()
    if deployment.id is not None and starter is not None:
        stop_when_abandoned(ProcessIdentity.of(starter), is_started_by_dvc=False)
