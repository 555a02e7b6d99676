"""Where log lines go: to the terminal and, inside a Prefect flow run, to the page of that run."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.context.errors import explains_itself, message_of

PROJECT_LOGGERS = ("lmcore", "tasks", "flows", "__main__")
PREFECT_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class TerminalHandler(logging.Handler):
    """Writes to the current ``sys.stderr``, which a progress bar replaces so that it stays below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class TerminalFormatter(logging.Formatter):
    """The message alone, preceded by the level if it is a warning or an error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        line = super().format(record)
        return f"{record.levelname.lower()}: {line}" if record.levelno >= logging.WARNING else line


def log_to_terminal() -> None:
    """Show what the project logs (INFO) and what libraries warn about; Prefect's own lines are in its page only."""
    handler = TerminalHandler()
    handler.setFormatter(TerminalFormatter("%(message)s"))
    handler.addFilter(lambda record: "prefect" not in Path(record.pathname).parts)
    logging.raiseExceptions = False  # a lost Prefect server is reported once, not again with every line
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in PROJECT_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)


@contextmanager
def log_to_flow_run() -> Iterator[None]:
    """Also send what the project logs to the Prefect run that is being executed."""
    from prefect.logging.handlers import APILogHandler  # Prefect takes a second to import

    for name in PREFECT_LOGGERS:
        logging.getLogger(name).addFilter(_leave_out_traceback)
    owner = os.getpid()
    handler = APILogHandler()
    handler.setLevel(logging.INFO)
    # The thread that sends the lines does not exist in a forked worker, which would wait for it forever.
    handler.addFilter(lambda _: os.getpid() == owner)
    loggers = [logging.getLogger(name) for name in PROJECT_LOGGERS]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _leave_out_traceback(record: logging.LogRecord) -> bool:
    """Show a user's mistake in Prefect's page as on the terminal: as its message, without a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and explains_itself(error):
        record.msg, record.args, record.exc_info = "%s", (message_of(error),), None
    return True
