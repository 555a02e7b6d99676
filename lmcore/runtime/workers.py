"""Work spread over processes of this machine or of a Dask cluster, with results in the order of the work.

What is sent to other processes are names of files and small decisions: documents are read and written where the work
is done, in folders that all of them see.
"""

import atexit
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


class Promise(Protocol[Result_co]):
    """A result that is waited for."""

    def result(self) -> Result_co:
        """Wait for it."""


class Workers:
    """Some processes that compute while the block lasts; with one of them, this process does the work itself.

    Args:
        n_workers: processes of this machine.
        dask_address: of a Dask scheduler (``tcp://host:8786``) whose workers compute instead; they need this project,
            the same versions of its libraries, and the same folders.

    Raises:
        ValueError: if their number is below 1.
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
            # A fork would copy the locks of threads that a flow's engine has started: spawned workers share nothing.
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

        Items are taken only a little ahead of the results that were asked for, so that neither are ever held
        whole. ``function`` is one of a module (or a ``functools.partial`` of one): it is sent by its name.
        """
        if self._pool is None and self._cluster is None:
            yield from map(function, items)
            return
        pending: deque[Promise[Result]] = deque()
        for item in items:
            pending.append(self._submit(function, item))
            if len(pending) >= self._n_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def prepare(self, function: Callable[[Item], object], item: Item) -> None:
        """Let each process of this machine call a function once, and go on meanwhile: an import that takes seconds.

        A cluster's processes stay from one use to the next, and are not prepared.
        """
        for _ in range(self._n_workers if self._pool is not None else 0):
            self._submit(function, item)

    def _submit(self, function: Callable[[Item], Result], item: Item) -> Promise[Result]:
        if self._cluster is not None:
            # Pieces are remembered in files, not by the cluster: what was asked for is computed.
            promise: Promise[Result] = self._cluster.submit(function, item, pure=False)
            return promise
        assert self._pool is not None
        return self._pool.submit(function, item)


def _connect(address: str) -> "Client":
    # Few need it, and it takes a second to import.
    from distributed import Client

    try:
        return Client(address, timeout=CONNECTION_SECONDS, set_as_default=False)
    except OSError as error:
        raise OSError(f"no Dask scheduler answers at {address} (LMCORE_DASK_ADDRESS): {error}") from error


def _begin_worker() -> None:
    """Let this worker end at once when it is told to, and when its parent ends, however that happens."""
    # To give back what it remembers, word by word, takes a second.
    atexit.register(os._exit, 0)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
