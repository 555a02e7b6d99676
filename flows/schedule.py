"""Runs the pipeline on a schedule until Ctrl-C or SIGTERM, one run at a time: ``python -m flows.schedule``.

When it runs is the cron line in ``LMCORE_SCHEDULE_CRON``, at first every night at three, in the time zone
``LMCORE_SCHEDULE_TIMEZONE``, at first UTC. A run that would start while another one is not finished is cancelled.
``deploy/lmcore-schedule.service`` keeps it running.
"""

import logging
import sys

from flows.pipeline import pipeline
from flows.runtime.commands import run_command
from flows.runtime.serving import serve
from lmcore.errors import UserError
from tasks.context.environment import Environment
from tasks.context.flow_runs import close_abandoned_runs
from tasks.context.prefect import report_to

logger = logging.getLogger(__name__)


def run_schedule() -> None:
    """Serve the pipeline as a Prefect deployment, and leave with 128 and the number of the signal that ended it.

    Raises:
        UserError: if no Prefect server answers, or another deployment runs the pipeline as well.
    """
    environment = Environment()
    if environment.prefect_api_url is None:
        raise UserError("a schedule needs a Prefect server, and none is running; start one with `make up`")
    report_to(environment.prefect_api_url)
    logger.info(
        "The pipeline runs on schedule '%s' (cron), time zone %s; Ctrl-C stops it",
        environment.schedule_cron,
        environment.schedule_timezone,
    )
    number = serve(pipeline, environment.schedule_cron, environment.schedule_timezone)
    close_abandoned_runs(environment.work_folder)
    logger.info("The schedule is paused, and its runs have ended")
    sys.exit(128 + number)


def main() -> None:
    """The command line."""
    run_command("schedule", run_schedule)


if __name__ == "__main__":
    main()
