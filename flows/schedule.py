"""Runs the pipeline on a schedule until Ctrl-C, one run at a time: ``python -m flows.schedule``.

When it runs is the cron line in ``LMCORE_SCHEDULE_CRON``, at first every night at three. A run that would start while
another one is not finished is cancelled.
"""

import logging
import os

from flows.commands import run_command
from tasks.environment import Environment

logger = logging.getLogger("flows.schedule")  # also where this file is run as a command

NAME = "scheduled"


def serve() -> None:
    """Serve the pipeline as a Prefect deployment.

    Raises:
        RuntimeError: if no Prefect server answers.
    """
    environment = Environment()
    if environment.prefect_api_url is None:
        raise RuntimeError("a schedule needs a Prefect server and none answers; start one with `make up`")
    os.environ["PREFECT_API_URL"] = environment.prefect_api_url
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.types.entrypoint import EntrypointType

    from flows.deployment import pipeline

    logger.info("The pipeline runs at '%s' (cron); Ctrl-C ends the schedule", environment.schedule_cron)
    pipeline.serve(
        name=NAME,
        cron=environment.schedule_cron,
        global_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
        print_starting_message=False,
    )


def main() -> None:
    """The command line."""
    run_command("schedule", serve)


if __name__ == "__main__":
    main()
