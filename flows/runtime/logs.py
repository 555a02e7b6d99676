"""What the project's own code logs: once on the terminal, and in the Prefect run it belongs to."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.runtime.errors import explains_itself, message_of

PROJECT_LOGGERS = ("lmcore", "tasks", "flows", "__main__")
PREFECT_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class TerminalHandler(logging.Handler):
    """Writes to what ``sys.stderr`` is at that moment, so that a progress bar can stay below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class TerminalFormatter(logging.Formatter):
    """The message alone; a warning or an error says so first."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        line = super().format(record)
        return f"{record.levelname.lower()}: {line}" if record.levelno >= logging.WARNING else line


def log_to_terminal() -> None:
    """Show what the project says (INFO) and what libraries warn of; Prefect's own lines stand in its page."""
    handler = TerminalHandler()
    handler.setFormatter(TerminalFormatter("%(message)s"))
    handler.addFilter(lambda record: "prefect" not in Path(record.pathname).parts)
    logging.raiseExceptions = False  # that a Prefect server was lost is said once, not again with every line
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for logger in _project_loggers():
        logger.setLevel(logging.INFO)


def _leave_out_traceback(record: logging.LogRecord) -> bool:
    """Show the user's mistake in Prefect's page as on the terminal: as its message, not as Prefect's insides."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and explains_itself(error):
        record.msg, record.args, record.exc_info = "%s", (message_of(error),), None
    return True


@contextmanager
def log_to_flow_run() -> Iterator[None]:
    """Also send what the project says to the Prefect run that is being executed."""
    from prefect.logging.handlers import APILogHandler

    for name in PREFECT_LOGGERS:
        logging.getLogger(name).addFilter(_leave_out_traceback)

    owner = os.getpid()
    handler = APILogHandler()
    handler.setLevel(logging.INFO)
    # The thread that sends the lines does not exist in a forked worker, where waiting for it would never end.
    handler.addFilter(lambda _: os.getpid() == owner)
    for logger in _project_loggers():
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in _project_loggers():
            logger.removeHandler(handler)


def _project_loggers() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in PROJECT_LOGGERS]
