"""Runs the pipeline on a schedule until Ctrl-C or SIGTERM, one run at a time: ``python -m flows.schedule``.

``LMCORE_SCHEDULE_CRON`` sets the schedule (default: every night at 03:00), ``LMCORE_SCHEDULE_TIMEZONE`` its time zone
(default: UTC). A run that is due while another one is still running is cancelled. ``deploy/lmcore-schedule.service``
keeps the schedule running under systemd.
"""

import logging
import sys

from flows.pipeline import pipeline
from flows.runtime.commands import check_arguments, run_command
from flows.runtime.serving import serve
from lmcore.errors import UserError
from tasks.context.environment import Environment
from tasks.context.flow_runs import close_abandoned_runs
from tasks.context.prefect import report_to

logger = logging.getLogger(__name__)


def run_schedule() -> None:
    """Serve the pipeline as a Prefect deployment; exit with 128 plus the number of the signal that stopped it.

    Raises:
        UserError: if no Prefect server answers, or another deployment runs the pipeline on a schedule.
    """
    environment = Environment()
    if environment.prefect_api_url is None:
        raise UserError("a schedule needs a Prefect server, and none is running; start one with `make up`")
    report_to(environment.prefect_api_url)
    logger.info(
        "The pipeline runs on schedule '%s' (cron), time zone %s; Ctrl-C stops the schedule",
        environment.schedule_cron,
        environment.schedule_timezone,
    )
    number = serve(pipeline, environment.schedule_cron, environment.schedule_timezone)
    close_abandoned_runs(environment.work_folder)
    logger.info("The schedule is paused, and its runs have stopped")
    sys.exit(128 + number)


def main() -> None:
    """The command line."""
    check_arguments("flows.schedule", "Run the pipeline whenever LMCORE_SCHEDULE_CRON says so, until Ctrl-C.")
    run_command("schedule", run_schedule)


if __name__ == "__main__":
    main()
