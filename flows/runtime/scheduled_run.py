"""What surrounds a flow run that a schedule or a Prefect worker has started, instead of a command."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from prefect.runtime import deployment, flow_run

from flows.runtime.parent_watchdog import stop_when_abandoned
from tasks.context.environment import Environment
from tasks.context.flow_runs import close_abandoned_runs, record_flow_run
from tasks.context.logs import log_to_flow_run
from tasks.context.process import ProcessIdentity


@contextmanager
def scheduled_run(environment: Environment) -> Iterator[None]:
    """Record a run of a deployment, send it the log, and stop it with its parent; leave any other run as it is."""
    if deployment.id is None:
        yield
        return
    _stop_with_parent()
    close_abandoned_runs(environment.work_folder)
    record_flow_run(environment.work_folder, flow_run.id)
    with log_to_flow_run():
        yield


def _stop_with_parent() -> None:
    """A schedule or worker that is killed takes its run with it: nothing else could then stop the run.

    Ctrl-C reaches both the schedule and its run; the schedule passes it on, and a run must not receive it twice.
    """
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = psutil.Process().parent()
    if parent is not None:
        stop_when_abandoned(ProcessIdentity.of(parent), is_started_by_dvc=False)
