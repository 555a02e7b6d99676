"""Work spread over processes, with results in the order of the work whatever the number of processes."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_AHEAD_PER_WORKER = 4


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, n_workers: int) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, computed by ``n_workers`` processes.

    With one worker everything runs in this process. Items are taken only a little ahead of the results that
    were asked for, so that neither input nor output is ever held whole. ``function`` is a function of a
    module (or a ``functools.partial`` of one), because it is sent to the workers by its name.

    Raises:
        ValueError: if ``n_workers`` is below 1.
    """
    if n_workers < 1:
        raise ValueError(f"n_workers is {n_workers}; it must be at least 1")
    if n_workers == 1:
        yield from map(function, items)
        return
    # A fork would copy the locks of threads that a flow's engine has started: spawned workers share nothing.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_end_with_parent) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ITEMS_AHEAD_PER_WORKER * n_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _end_with_parent() -> None:
    """Let this worker end when its parent does, however that ends: it would otherwise wait for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
