"""Work spread over processes, with results in the order of the work whatever the number of processes."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_AHEAD_PER_WORKER = 4


class Workers:
    """Some processes that compute while the block lasts; with one of them, this process does the work itself.

    Raises:
        ValueError: if their number is below 1.
    """

    def __init__(self, n_workers: int) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers is {n_workers}; it must be at least 1")
        self._n_ahead = ITEMS_AHEAD_PER_WORKER * n_workers
        # A fork would copy the locks of threads that a flow's engine has started: spawned workers share nothing.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(n_workers, context, _end_with_parent) if n_workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for each item, in order.

        Items are taken only a little ahead of the results that were asked for, so that neither are ever held
        whole. ``function`` is one of a module (or a ``functools.partial`` of one): it is sent by its name.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(self._pool.submit(function, item))
            if len(pending) >= self._n_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _end_with_parent() -> None:
    """Let this worker end when its parent does, however that ends: it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
