"""Computations in several processes, on this machine or a Dask cluster, with results in the order of the items.

Only paths and small values are sent to other processes: they read and write documents themselves, in folders that all
of them can access.
"""

import atexit
import gc
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from lmcore.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

ITEMS_AHEAD_PER_WORKER = 4
CONNECTION_SECONDS = 10


class PendingResult(Protocol[Result_co]):
    """A result that may not be available yet."""

    def result(self) -> Result_co:
        """Wait for the result and return it."""


class Workers:
    """Worker processes that exist until the block ends; a single worker is this process itself.

    Args:
        n_workers: the number of processes on this machine.
        dask_address: the address of a Dask scheduler (``tcp://host:8786``) whose workers compute instead; they need
            this library, the same versions of its dependencies, and access to the same folders.

    Raises:
        UserError: if ``n_workers`` is smaller than 1.
        OSError: if no scheduler answers at the address.
    """

    def __init__(self, n_workers: int, *, dask_address: str | None = None) -> None:
        if n_workers < 1:
            raise UserError(f"n_workers is {n_workers}; it must be at least 1")
        self._n_workers = n_workers
        self._n_ahead = ITEMS_AHEAD_PER_WORKER * n_workers
        self._pool: ProcessPoolExecutor | None = None
        self._cluster = None if dask_address is None else _connect(dask_address)
        if self._cluster is not None:
            self._n_ahead = ITEMS_AHEAD_PER_WORKER * max(sum(self._cluster.nthreads().values()), 1)
        elif n_workers > 1:
            # A fork would copy the locks that other threads hold; spawned workers share nothing.
            self._pool = ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn"), _begin_worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._cluster is not None:
            self._cluster.close()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` for each item, in order.

        Items are taken only a few ahead of the results that are consumed, so that neither are ever in memory as a
        whole. ``function`` is pickled: a function of a module, or a ``functools.partial`` of one.
        """
        if self._pool is None and self._cluster is None:
            yield from map(function, items)
            return
        pending: deque[PendingResult[Result]] = deque()
        for item in items:
            pending.append(self._submit(function, item))
            if len(pending) >= self._n_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def prepare(self, function: Callable[[Item], object], item: Item) -> None:
        """Let each process of this machine call a function, for example a slow import, without waiting for it.

        The processes of a cluster outlive a run and are not prepared.
        """
        for _ in range(self._n_workers if self._pool is not None else 0):
            self._submit(function, item)

    def _submit(self, function: Callable[[Item], Result], item: Item) -> PendingResult[Result]:
        if self._cluster is not None:
            # Results are cached in files, not by the cluster.
            pending: PendingResult[Result] = self._cluster.submit(function, item, pure=False)
            return pending
        assert self._pool is not None
        return self._pool.submit(function, item)


def _connect(address: str) -> "Client":
    # Imported here: it takes a second, and few users need it.
    from distributed import Client

    try:
        return Client(address, timeout=CONNECTION_SECONDS, set_as_default=False)
    except OSError as error:
        raise OSError(f"no Dask scheduler answers at {address}: {error}") from error


def _begin_worker() -> None:
    """Make this worker exit quickly, and exit when its parent process ends, however that happens."""
    # The interpreter collects garbage twice when it exits, which takes a second with a large cache and many modules.
    atexit.register(gc.freeze)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
