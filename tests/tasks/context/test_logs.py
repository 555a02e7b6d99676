"""The terminal shows what the project says and what libraries warn about; the page of a flow run shows the same."""

import logging
import sys
from collections.abc import Iterator

import pytest
from prefect.logging import handlers

from lmcore.errors import UserError
from tasks.context.logs import PREFECT_LOGGERS, PROJECT_LOGGERS, log_to_flow_run, log_to_terminal


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Loggers as they were before."""
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in (*PROJECT_LOGGERS, *PREFECT_LOGGERS)]
    before = [(logger, logger.level, logger.filters[:], logger.handlers[:]) for logger in [root, *loggers]]
    raises = logging.raiseExceptions
    yield
    logging.raiseExceptions = raises
    for logger, level, filters, its_handlers in before:
        logger.setLevel(level)
        logger.filters, logger.handlers = filters, its_handlers


class Page(logging.Handler):
    """The page of a flow run."""

    lines: list[str]

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> type[Page]:
    Page.lines = []
    monkeypatch.setattr(handlers, "APILogHandler", Page)
    return Page


def test_the_terminal_shows_information_of_the_project_and_warnings_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_terminal()
    logging.getLogger("tasks.clean").info("%d documents", 3)
    logging.getLogger("lmcore.text").debug("a detail")
    logging.getLogger("some.library").info("hello")
    logging.getLogger("some.library").warning("old %s", "format")
    logging.getLogger("flows.clean").error("no")
    assert capsys.readouterr().err == "3 documents\nwarning: old format\nerror: no\n"


def test_lines_of_prefect_itself_are_not_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_terminal()
    for path in ("/venv/prefect/engine.py", "/home/prefect-user/code.py"):
        record = logging.LogRecord("any", logging.ERROR, path, 1, path, None, None)
        logging.getLogger("any").handle(record)
    assert capsys.readouterr().err == "error: /home/prefect-user/code.py\n"


def test_a_line_goes_to_what_is_the_terminal_when_it_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_terminal()

    class ProgressBar:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    bar = ProgressBar()
    monkeypatch.setattr(sys, "stderr", bar)
    logging.getLogger("tasks").info("above the bar")
    monkeypatch.undo()
    assert bar.text == "above the bar\n"
    assert capsys.readouterr().err == ""


def test_what_the_project_logs_in_a_flow_run_is_on_its_page_and_nothing_after_it(page: type[Page]) -> None:
    def fail() -> None:
        with log_to_flow_run():
            logging.getLogger("tasks.clean").info("in the run")
            logging.getLogger("some.library").error("not of the project")
            logging.getLogger("flows").debug("a detail")
            raise KeyError("a run that fails")

    with pytest.raises(KeyError):
        fail()
    logging.getLogger("tasks.clean").info("after the run")
    assert page.lines == ["in the run"]


def test_a_mistake_of_the_user_is_a_message_on_the_page_and_a_defect_a_traceback(page: type[Page]) -> None:
    seen = []
    with log_to_flow_run():
        logger = logging.getLogger("prefect.flow_runs")
        for error in (UserError("width 7 is odd"), KeyError("defect")):
            try:
                raise error
            except (UserError, KeyError):
                record = logger.makeRecord(
                    logger.name, logging.ERROR, "", 1, "Encountered an exception", (), sys.exc_info()
                )
            assert logger.filter(record)
            seen.append((record.getMessage(), record.exc_info is None))
    assert seen == [("width 7 is odd", True), ("Encountered an exception", False)]
