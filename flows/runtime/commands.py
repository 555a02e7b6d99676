"""Runs a command: a user's mistake ends it with a message, a defect with a traceback, a signal with an exit code."""

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flows.runtime.dvc_repository import repair_repository
from tasks.context.environment import answers
from tasks.context.errors import ShownError, explains_itself, message_of
from tasks.context.logs import log_to_terminal

logger = logging.getLogger(__name__)


def run_command(name: str, command: Callable[[], object]) -> NoReturn:
    """Run a command and exit the process with its exit code.

    First, DVC's own files are repaired if an earlier kill damaged them. An error written for the user is shown as its
    message, any other error with its traceback.
    """
    log_to_terminal()
    exit_when_terminated()
    code = 0
    try:
        repair_repository(Path.cwd())
        command()
    except BaseException as error:
        code = _report_error(name, error)
    leave(code)


def check_arguments(module: str, description: str) -> None:
    """Handle the arguments of a command that takes none: ``--help`` is answered, all others are an error."""
    argparse.ArgumentParser(prog=f"python -m {module}", description=description).parse_args()


def leave(code: int) -> NoReturn:
    """Exit the process, without waiting for a Prefect server that was lost during the run."""
    api_url = os.environ.get("PREFECT_API_URL", "")
    if "prefect" in sys.modules and not answers(f"{api_url}/health"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _report_error(name: str, error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        logger.error("%s was interrupted", name)
        return 128 + signal.SIGINT
    if isinstance(error, SystemExit) and error.code in (0, 1, 2):  # the command has shown why
        return int(error.code)
    if not isinstance(error, Exception):
        logger.error("%s was terminated", name)
        return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 128 + signal.SIGTERM
    if isinstance(error, ShownError):
        logger.error("%s failed: %s", name, error.summary)
    elif explains_itself(error):
        logger.error("%s failed: %s", name, message_of(error))
    else:
        logger.error("%s failed unexpectedly:\n%s", name, "".join(traceback.format_exception(error)).rstrip())
    return 1


def exit_when_terminated() -> None:
    """Turn SIGTERM and SIGHUP into a SystemExit, so that files, runs and child processes are cleaned up."""

    def exit_with_signal(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_with_signal)
