"""How a command runs and ends: a message for the user when it fails, a traceback for the unexpected."""

import dis
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from pydantic import ValidationError

from flows.logs import log_to_terminal
from tasks.environment import answers

logger = logging.getLogger(__name__)

PACKAGES = ("lmcore", "tasks", "flows")


def run_command(name: str, command: Callable[[], object]) -> NoReturn:
    """Run a command to its end and leave the process with its exit code.

    An error that explains itself is shown as its message, any other one with its traceback.
    """
    log_to_terminal()
    exit_when_terminated()
    code = 0
    try:
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
    if not isinstance(error, Exception):
        logger.error("%s was terminated", name)
        return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 128 + signal.SIGTERM
    if explains_itself(error):
        logger.error("%s failed: %s", name, error)
    else:
        logger.error("%s failed unexpectedly:\n%s", name, "".join(traceback.format_exception(error)).rstrip())
    return 1


def explains_itself(error: Exception) -> bool:
    """Whether the message was written for the user.

    So it is if the project's own code raised it (an error that some operation of that code met with is a defect,
    and needs its traceback), or if it is about a file, a connection or a setting.
    """
    if isinstance(error, AssertionError | NotImplementedError):
        return False
    return isinstance(error, OSError | ValidationError) or _raised_by_project(error)


def exit_when_terminated() -> None:
    """Turn the signals that end a process into an exit, so that files, runs and children stay in order."""

    def exit_with_signal(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_with_signal)


def _raised_by_project(error: Exception) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    module = str(last.tb_frame.f_globals.get("__name__", "")).split(".")[0]
    instruction = last.tb_frame.f_code.co_code[last.tb_lasti]
    return module in (*PACKAGES, "__main__") and dis.opname[instruction] == "RAISE_VARARGS"
