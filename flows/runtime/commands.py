"""How a command runs and ends: a message for the user when it fails, a traceback for the unexpected."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flows.runtime.dvc_repository import mend_repository
from tasks.context.environment import answers
from tasks.context.errors import ShownError, explains_itself, message_of
from tasks.context.logs import log_to_terminal

logger = logging.getLogger(__name__)


def run_command(name: str, command: Callable[[], object]) -> NoReturn:
    """Run a command to its end and leave the process with its exit code.

    What a kill left of DVC's own files is put in order first. An error that explains itself is shown as its message,
    any other one with its traceback.
    """
    log_to_terminal()
    exit_when_terminated()
    code = 0
    try:
        mend_repository(Path.cwd())
        command()
    except BaseException as error:
        code = _report(name, error)
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process, without waiting for a Prefect server that went away while it reported to it."""
    api_url = os.environ.get("PREFECT_API_URL", "")
    if "prefect" in sys.modules and not answers(f"{api_url}/health"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _report(name: str, error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        logger.error("%s was interrupted", name)
        return 128 + signal.SIGINT
    if isinstance(error, SystemExit) and error.code in (0, 1, 2):  # the command has said why
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
    """Turn the signals that end a process into an exit, so that files, runs and children stay in order."""

    def exit_with_signal(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_with_signal)
