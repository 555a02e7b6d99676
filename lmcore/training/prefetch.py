"""Moves batches to the device; on a GPU the next step's batches are prepared while the current step runs."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch

from lmcore.tokens.batches.batches import Batch, Batches


class Prefetcher:
    """The batches of each step, on the device; a context manager that ends its thread.

    On a GPU a background thread prepares and pins the next step's batches. On the CPU there is no thread: it would
    compete with the training for the same cores.

    Args:
        batches: the source; the batches of a step depend on its number alone.
        batches_per_step: how many batches a step accumulates gradients over.
        device: where the batches are needed.
    """

    def __init__(self, batches: Batches, batches_per_step: int, device: torch.device) -> None:
        self._batches, self._batches_per_step, self._device = batches, batches_per_step, device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch") if device.type == "cuda" else None
        self._next: tuple[int, Future[list[Batch]]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def batches_of_step(self, step: int) -> Sequence[Batch]:
        """The batches of a step, on the device."""
        if self._thread is None:
            return [batch.to(self._device) for batch in self._prepare(step)]
        if self._next is None or self._next[0] != step:
            self._next = (step, self._thread.submit(self._prepare_pinned, step))
        batches = self._next[1].result()
        self._next = (step + 1, self._thread.submit(self._prepare_pinned, step + 1))
        return [batch.to(self._device) for batch in batches]

    def _prepare(self, step: int) -> list[Batch]:
        first = step * self._batches_per_step
        return [self._batches.training_batch(index) for index in range(first, first + self._batches_per_step)]

    def _prepare_pinned(self, step: int) -> list[Batch]:
        return [batch.pinned() for batch in self._prepare(step)]
