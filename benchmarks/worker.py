"""Times an action in a process of its own, so that settings of one side do not affect the other."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

Action = Callable[[], object]

PROCESS_SETTINGS = ExitStack()
"""Settings that a process to be timed keeps until its end."""


@contextmanager
def worker(make: Callable[[], Action], environment: Mapping[str, str]) -> Iterator[Callable[[], tuple[float, Any]]]:
    """Start a process that runs an action on request.

    Args:
        make: called in the new process; returns the action. It must be a module-level function, or a partial of one.
        environment: additional environment variables of the new process.

    Yields:
        A function that runs the action once and returns its seconds and its result.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(make, theirs))
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    theirs.close()

    def act() -> tuple[float, Any]:
        ours.send(True)
        answer: tuple[float, Any] = ours.recv()
        return answer

    try:
        yield act
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _serve(make: Callable[[], Action], requests: Connection) -> None:
    action = make()
    while True:
        try:
            requests.recv()
        except EOFError:
            return
        start = time.perf_counter()
        result = action()
        requests.send((time.perf_counter() - start, result))
